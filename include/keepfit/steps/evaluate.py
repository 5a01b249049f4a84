"""Score candidates and champion on the same rows of the holdout."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

from keepfit.errors import TrainingError
from keepfit.plugins import Model
from keepfit.spec import ModelSpec
from keepfit.steps.draws import draw
from keepfit.steps.intervals import (
    Intervals,
    Metrics,
    SliceEvaluation,
    evaluate_slices,
    intervals,
    numbers,
    plain,
    plain_ranges,
    ranges,
)
from keepfit.steps.metrics import find_metric, is_higher_better, measure
from keepfit.steps.slices import slice_columns
from keepfit.steps.split import Split
from keepfit.steps.train import scored

CHALLENGER, CHAMPION, BASELINE = "challenger", "champion", "baseline"


@dataclass(frozen=True)
class Champion:
    """The version that is live, or why it cannot be scored."""

    version: str
    model: Model | None
    problem: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """How candidates, champion and baseline did on the holdout."""

    challenger: int
    """Which candidate did best by the objective."""
    candidates: tuple[Metrics, ...]
    baseline: Metrics
    """Of the mean label of the training rows, given to every row."""
    champion: Metrics | None
    champion_version: str | None
    champion_problem: str | None
    rows: int
    start: str
    end: str
    intervals: Intervals = field(default_factory=dict)
    """Of the challenger's metrics, with the confidence of the gate; none where there are too few days."""
    slices: tuple[SliceEvaluation, ...] = ()
    """How it did in each slice that the gate names."""
    latency_ms: float | None = None
    """The challenger's median time to score one row."""
    size_mb: float | None = None
    """What the challenger's files take, in millions of bytes."""

    @property
    def metrics(self) -> Metrics:
        """The challenger's metrics."""
        return self.candidates[self.challenger]

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read an evaluation back, also one that knew less, or more."""
        groups = {name: numbers(stored[name]) for name in ("baseline", "champion") if stored[name]}
        known = {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}
        read = {
            "candidates": tuple(map(numbers, stored["candidates"])),
            "intervals": ranges(stored.get("intervals", {})),
            "slices": tuple(map(SliceEvaluation.of_json, stored.get("slices", ()))),
        }
        return cls(**known | read | groups)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, which has no NaN: null stands for it."""
        return asdict(self) | {
            "candidates": [plain(each) for each in self.candidates],
            "baseline": plain(self.baseline),
            "champion": plain(self.champion) if self.champion else None,
            "intervals": plain_ranges(self.intervals),
            "slices": [each.to_json() for each in self.slices],
        }


def evaluate(
    candidates: Sequence[Model],
    champion: Champion | None,
    split: Split,
    spec: ModelSpec,
) -> tuple[Evaluation, pd.DataFrame]:
    """Measure every model on the holdout.

    Returns:
        The evaluation, and `event_time`, `label`, scores of challenger, champion and baseline, and the slices
        that each row is in.

    Raises:
        TrainingError: The objective cannot be computed on the holdout, or a slice's column is not there.
    """
    holdout = split.holdout
    truth = holdout["label"].to_numpy(np.float64)
    names = spec.evaluate.all_metrics
    scores = [scored(model, holdout, spec) for model in candidates]
    measured = [measure(names, truth, each) for each in scores]
    best = _best(measured, spec.evaluate.objective, len(truth))
    table = pd.DataFrame(
        {
            "event_time": holdout["event_time"].to_numpy(),
            "label": truth,
            CHALLENGER: scores[best],
            BASELINE: np.full(len(truth), split.train["label"].mean()),
            **slice_columns(holdout, spec.evaluate.gate.slices),
        }
    )
    problem = champion.problem if champion else None
    if champion and champion.model:
        try:
            table[CHAMPION] = scored(champion.model, holdout, spec)
        except Exception as error:  # noqa: BLE001 - whatever ails the champion is for the gate to judge
            problem = f"{type(error).__name__}: {error}"
    draws = draw(table["event_time"], spec.evaluate.gate, spec.train.seed)
    evaluation = Evaluation(
        challenger=best,
        candidates=tuple(measured),
        baseline=measure(names, truth, table[BASELINE].to_numpy()),
        champion=measure(names, truth, table[CHAMPION].to_numpy()) if CHAMPION in table else None,
        champion_version=champion.version if champion else None,
        champion_problem=problem,
        rows=len(truth),
        start=holdout["event_time"].iloc[0].isoformat(),
        end=holdout["event_time"].iloc[-1].isoformat(),
        intervals=intervals(table, CHALLENGER, draws, spec),
        slices=tuple(evaluate_slices(table, CHALLENGER, CHAMPION, draws, spec)),
    )
    return evaluation, table


def _best(measured: Sequence[Metrics], objective: str, rows: int) -> int:
    values = [each[objective] for each in measured]
    if not np.isfinite(values).any():
        raise TrainingError(
            f"The objective {objective!r} cannot be computed on the {rows} rows of the holdout. "
            "Is there only one class among them? Lengthen `train.holdout`."
        )
    upwards = is_higher_better(find_metric(objective))
    return int(np.nanargmax(values) if upwards else np.nanargmin(values))
