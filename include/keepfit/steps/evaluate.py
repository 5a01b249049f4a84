"""Score candidates and champion on the same rows of the holdout."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from keepfit.errors import TrainingError
from keepfit.plugins import Model
from keepfit.spec import ModelSpec
from keepfit.steps.metrics import find_metric, is_higher_better, measure
from keepfit.steps.split import Split
from keepfit.steps.train import scored

Metrics = Mapping[str, float]
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

    @property
    def metrics(self) -> Metrics:
        """The challenger's metrics."""
        return self.candidates[self.challenger]

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read an evaluation back."""
        groups = {name: _numbers(stored[name]) for name in ("baseline", "champion") if stored[name]}
        return cls(**{**stored, "candidates": tuple(map(_numbers, stored["candidates"])), **groups})

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, which has no NaN: null stands for it."""
        plain = asdict(self)
        return plain | {
            "candidates": [_plain(each) for each in self.candidates],
            "baseline": _plain(self.baseline),
            "champion": _plain(self.champion) if self.champion else None,
        }


def evaluate(
    candidates: Sequence[Model],
    champion: Champion | None,
    split: Split,
    spec: ModelSpec,
) -> tuple[Evaluation, pd.DataFrame]:
    """Measure every model on the holdout.

    Returns:
        The evaluation, and `event_time`, `label` and scores of challenger, champion and baseline.

    Raises:
        TrainingError: The objective cannot be computed on the holdout.
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
        }
    )
    problem = champion.problem if champion else None
    if champion and champion.model:
        try:
            table[CHAMPION] = np.asarray(champion.model.predict(holdout), dtype=np.float64)
        except Exception as error:  # noqa: BLE001 - whatever ails the champion is for the gate to judge
            problem = f"{type(error).__name__}: {error}"
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
    )
    return evaluation, table


def _plain(metrics: Metrics) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _numbers(metrics: Mapping[str, float | None]) -> Metrics:
    return {name: math.nan if value is None else value for name, value in metrics.items()}


def _best(measured: Sequence[Metrics], objective: str, rows: int) -> int:
    values = [each[objective] for each in measured]
    if not np.isfinite(values).any():
        raise TrainingError(
            f"The objective {objective!r} cannot be computed on the {rows} rows of the holdout. "
            "Is there only one class among them? Lengthen `train.holdout`."
        )
    upwards = is_higher_better(find_metric(objective))
    return int(np.nanargmax(values) if upwards else np.nanargmin(values))
