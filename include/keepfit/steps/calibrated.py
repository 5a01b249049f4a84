"""How far a classifier's probabilities are from the labels that came, beside what luck alone brings."""

import numpy as np
import pandas as pd

from keepfit.policy import Score
from keepfit.spec import ModelSpec
from keepfit.spec.model import PerformanceSpec
from keepfit.steps.metrics import calibration_error
from keepfit.steps.row_losses import BINS, calibration_bins

LUCK = 0.98
"""The noise is what the error of right probabilities stays below with this chance."""
_DRAWS = 2_000


def calibration(rows: pd.DataFrame, spec: ModelSpec) -> Score:
    """Return the expected calibration error of labelled answers.

    Args:
        rows: `score` and `label` of each.
        spec: The model: its task, and how many rows an answer needs.
    """
    if spec.task != "classification":
        return Score(reason="a regression gives no probabilities")
    needed = (spec.monitor.performance or PerformanceSpec()).min_rows
    if len(rows) < needed:
        return Score(reason=f"{len(rows):,} labelled rows, {needed:,} needed")
    label, score = (rows[name].to_numpy(np.float64) for name in ("label", "score"))
    spread = np.sqrt(np.bincount(calibration_bins(score), score * (1 - score), BINS))
    gaps = np.random.default_rng(spec.train.seed).normal(size=(_DRAWS, BINS)) * spread
    by_luck = np.abs(gaps).sum(axis=1) / len(rows)
    return Score(calibration_error(label, score), float(np.quantile(by_luck, LUCK)), "")
