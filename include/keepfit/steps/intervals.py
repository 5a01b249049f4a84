"""Where a model's metrics truly lie, on the whole holdout and in each of its slices."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.spec import ModelSpec
from keepfit.steps.draws import Draws
from keepfit.steps.metrics import Array, measure
from keepfit.steps.slices import Part, parts

Metrics = Mapping[str, float]
Intervals = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class SliceEvaluation:
    """How challenger and champion did on the rows of one slice."""

    column: str
    value: str
    rows: int
    metrics: Metrics
    """The challenger's; none where the slice is too small."""
    intervals: Intervals
    champion: Metrics | None
    too_small: str | None = None
    """Why the slice is not judged."""

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read it back; what a later version adds is left out."""
        known = {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}
        champion = known.get("champion")
        return cls(
            **known
            | {
                "metrics": numbers(known["metrics"]),
                "intervals": ranges(known["intervals"]),
                "champion": None if champion is None else numbers(champion),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, which has no NaN: null stands for it."""
        champion = None if self.champion is None else plain(self.champion)
        stored = {"metrics": plain(self.metrics), "intervals": plain_ranges(self.intervals)}
        return asdict(self) | stored | {"champion": champion}


def intervals(
    scores: pd.DataFrame, who: str, draws: Draws, spec: ModelSpec, part: Part | None = None
) -> Intervals:
    """Return the interval of each metric of one model; none where the days are too few.

    Args:
        scores: `label` and the models' scores.
        who: The column of the model's scores.
        draws: Draws of the rows' days.
        spec: Which metrics, and how sure.
        part: The rows, if not all.
    """
    if draws.too_few() or (part and part.too_small):
        return {}
    rows, days = (part.rows, part.days) if part else (None, None)
    label, score = (scores[name].to_numpy(np.float64) for name in ("label", who))
    values = _measured(spec, label, score, rows)
    found = {}
    for name, value in values.items():
        made = draws.estimate(value, draws.of(name, label, score, rows), spec.evaluate.gate.confidence, days)
        found[name] = (made.low, made.high)
    return found


def evaluate_slices(
    scores: pd.DataFrame, ours: str, theirs: str, draws: Draws, spec: ModelSpec
) -> Iterator[SliceEvaluation]:
    """Measure two models in each slice that the gate names; the second need not have scores."""
    label = scores["label"].to_numpy(np.float64)
    for part in parts(scores, spec.evaluate.gate.slices, draws):
        measured = [
            _measured(spec, label, scores[who].to_numpy(np.float64), part.rows)
            for who in (ours, theirs)
            if who in scores and not part.too_small
        ]
        yield SliceEvaluation(
            column=part.spec.column,
            value=part.value,
            rows=part.count,
            metrics=measured[0] if measured else {},
            intervals=intervals(scores, ours, draws, spec, part),
            champion=measured[1] if len(measured) > 1 else None,
            too_small=part.too_small,
        )


def plain(metrics: Metrics) -> dict[str, float | None]:
    """Put null for what is no number."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def plain_ranges(found: Intervals) -> dict[str, list[float | None]]:
    """Put null for ends that are no number."""
    return {name: [each if math.isfinite(each) else None for each in ends] for name, ends in found.items()}


def numbers(metrics: Mapping[str, float | None]) -> Metrics:
    """Read what `plain` returned."""
    return {name: math.nan if value is None else value for name, value in metrics.items()}


def ranges(stored: Mapping[str, Any]) -> Intervals:
    """Read what `plain_ranges` returned."""
    return {
        name: (math.nan if low is None else low, math.nan if high is None else high)
        for name, (low, high) in stored.items()
    }


def _measured(spec: ModelSpec, label: Array, score: Array, rows: NDArray[np.bool_] | None) -> Metrics:
    chosen = slice(None) if rows is None else rows
    return measure(spec.evaluate.all_metrics, label[chosen], score[chosen])
