"""Regret: how much better a fresh challenger does than the champion, on the same newly labelled rows."""

import math

import numpy as np
import pandas as pd

from keepfit.policy import RegretSignal
from keepfit.spec import ModelSpec
from keepfit.spec.model import PerformanceSpec
from keepfit.steps.compare import compare
from keepfit.steps.draws import draw
from keepfit.steps.metrics import find_metric, is_higher_better


def regret(rows: pd.DataFrame, spec: ModelSpec) -> RegretSignal:
    """Compare what both gave the rows by the objective; positive where the challenger is better.

    Rows of one day go up and down together, so the standard error is by draws of whole days.

    Args:
        rows: `event_time`, `label`, `challenger` and `champion`: the scores of both.
        spec: The model: its objective, how many rows an answer needs, and how days are drawn.
    """
    count, metric = len(rows), spec.evaluate.objective
    if reason := why_too_few(rows["event_time"], spec):
        return unknown_regret(reason, count)
    draws = draw(rows["event_time"], spec.evaluate.gate, spec.train.seed)
    found = compare(rows, metric, draws, spec.evaluate.gate.confidence)
    if not math.isfinite(found.value + found.error):
        classes = np.unique(rows["label"].to_numpy(np.float64))
        why = f": all have the label {classes[0]:g}" if len(classes) == 1 else ""
        return unknown_regret(f"{metric} cannot be compared on {count:,} labelled rows{why}", count)
    sign = 1 if is_higher_better(find_metric(metric)) else -1
    return RegretSignal(sign * found.value, found.error, count)


def why_too_few(times: "pd.Series[pd.Timestamp]", spec: ModelSpec) -> str:
    """Say why rows of these times tell nothing; nothing where they do."""
    count = len(times)
    needed = (spec.monitor.performance or PerformanceSpec()).min_rows
    if count < needed:
        return f"{count:,} newly labelled rows, {needed:,} needed"
    draws = draw(times, spec.evaluate.gate, spec.train.seed)
    if days := draws.too_few():
        return f"newly labelled rows of {draws.days} days, {days} needed: monitor longer windows"
    return ""


def unknown_regret(reason: str, rows: int = 0) -> RegretSignal:
    """Say why the regret is not known."""
    return RegretSignal(None, None, rows, reason)
