"""Tell how sure a champion's figure is, and how no model at all does on the same rows."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from keepfit.spec.model import ModelSpec
from keepfit.steps.draws import draw
from keepfit.steps.metrics import find_metric, measure, tells_use


@dataclass(frozen=True)
class Usefulness:
    """What `PerformanceSignal` tells of it, by the same names."""

    noise: float | None = None
    baseline: float | None = None
    baseline_noise: float | None = None


def mean_label(holdout: pd.DataFrame) -> float:
    """Return the mean label of a holdout: a guess that needs no model, of the newest labels."""
    return float(np.mean(holdout["label"].to_numpy(np.float64)))


def usefulness(rows: pd.DataFrame, spec: ModelSpec, value: float, guess: float | None) -> Usefulness:
    """Draw days of the rows for the objective's standard error, and for how far it is from the guess's.

    Args:
        rows: `event_time`, `label` and `score`.
        spec: The objective, and how days are drawn; too few of them leave the noise unknown.
            An objective that favours a guess is not held against one.
        value: The objective on these rows.
        guess: The mean label of the champion's holdout; None if nobody recorded it.
    """
    metric, rule = spec.evaluate.objective, spec.evaluate.gate
    label, score = (rows[name].to_numpy(np.float64) for name in ("label", "score"))
    held = guess if tells_use(find_metric(metric)) else None
    same = None if held is None else np.full(len(rows), held)
    baseline = None if same is None else _finite(measure((metric,), label, same)[metric])
    draws = draw(rows["event_time"], rule, spec.train.seed)
    if draws.too_few():
        return Usefulness(baseline=baseline)
    drawn = draws.of(metric, label, score)
    noise = _finite(draws.estimate(value, drawn, rule.confidence).error)
    if baseline is None or same is None:
        return Usefulness(noise)
    apart = draws.estimate(value - baseline, drawn - draws.of(metric, label, same), rule.confidence)
    return Usefulness(noise, baseline, _finite(apart.high - apart.value))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
