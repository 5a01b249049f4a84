"""What the gate checks on the figures themselves: floors on all rows, time and room."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from keepfit.spec import ModelSpec
from keepfit.steps.evaluate import Evaluation
from keepfit.steps.figures import figure
from keepfit.steps.metrics import find_metric, is_higher_better

Verdict = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True)
class Check:
    """One thing that was asked of the challenger, and the answer."""

    kind: Literal[
        "floor", "better", "not_worse", "baseline", "champion", "holdout", "slices", "latency", "size"
    ]
    verdict: Verdict
    text: str
    """The answer in words."""
    metric: str | None = None
    column: str | None = None
    """Of the slice it was asked of; none when of all rows."""
    slice: str | None = None
    """The slice's value."""
    value: float | None = None
    """The challenger's figure, or how far it is from the champion's."""
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    """What was asked for."""


def floors(evaluation: Evaluation, spec: ModelSpec) -> Iterator[Check]:
    """Hold the metrics of all rows against their floors. What is no number meets none."""
    for name, floor in spec.evaluate.gate.floors.items():
        value = evaluation.metrics[name]
        if math.isnan(value):
            text = f"{name} cannot be computed on the holdout, so nothing shows it meets {figure(floor)}"
            yield Check("floor", "fail", text, name, bound=floor)
        else:
            verdict: Verdict = "pass" if meets(name, value, floor) else "fail"
            yield Check("floor", verdict, floor_text(name, value, floor), name, value=value, bound=floor)


def meets(metric: str, value: float, floor: float) -> bool:
    """Tell whether a metric is no worse than its floor."""
    return value >= floor if is_higher_better(find_metric(metric)) else value <= floor


def floor_text(metric: str, value: float, floor: float) -> str:
    """Say how a metric stands to its floor."""
    upwards = is_higher_better(find_metric(metric))
    bound = f"{'floor' if upwards else 'limit'} {figure(floor)}"
    if meets(metric, value, floor):
        return f"{metric} {figure(value)} keeps its {bound}"
    return f"{metric} {figure(value)} is {'below' if upwards else 'above'} its {bound}"


def limits(evaluation: Evaluation, spec: ModelSpec) -> Iterator[Check]:
    """Hold the time to score a row, and the size of the files, against their limits."""
    rule = spec.evaluate.gate
    if rule.latency_ms is not None:
        yield _limit(
            "latency", "the median time to score one row", evaluation.latency_ms, rule.latency_ms, "ms"
        )
    if rule.size_mb is not None:
        yield _limit("size", "the size of the model's files", evaluation.size_mb, rule.size_mb, "MB")


def _limit(
    kind: Literal["latency", "size"], what: str, value: float | None, limit: float, unit: str
) -> Check:
    if value is None or not math.isfinite(value):
        text = f"{what} was not measured, so nothing shows it is within {limit:g} {unit}"
        return Check(kind, "undecided", text, bound=limit)
    within = value <= limit
    text = f"{what}, {value:.3g} {unit}, is {'within' if within else 'above'} the limit of {limit:g} {unit}"
    return Check(kind, "pass" if within else "fail", text, value=value, bound=limit)
