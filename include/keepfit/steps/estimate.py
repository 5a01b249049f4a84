"""Estimate how a classifier does on rows without labels: confidence-based performance estimation (CBPE).

Its scores are calibrated on rows whose labels are known; then a row with the chance c of being positive
counts as c of a positive row and 1 - c of a negative one, in all that is computed of labels. The method and
its name are NannyML's (https://nannyml.readthedocs.io, "How CBPE works").

It assumes that equal scores still mean equal chances: it sees what a shift of the rows does, and is blind to
a change of what they mean. Regression would need another method, direct loss estimation, which is not here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
LIMIT = "an estimate without labels: it does not see when the same features come to mean something else"
FEWEST = 100
"""Fewer rows than these calibrate nothing."""
_PARTS = 20
_TINY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Estimated:
    """What is to be expected of a model on rows without labels, and what it did where labels were known."""

    rows: int
    metrics: Mapping[str, float | None]
    """None where the rows define no such metric."""
    reference_rows: int
    reference: Mapping[str, float | None]
    """The same, measured on the labels of the rows it was calibrated on."""
    errors: Mapping[str, float | None]
    """The standard errors of the metrics; of the rows they are estimated on, not of the calibration."""


class Calibration:
    """The chance that a score stands for, learnt by isotonic regression from rows with labels."""

    def __init__(self, score: Array, label: Array) -> None:
        """Learn it: chances rise with scores, and beyond the scores seen they stay as they are."""
        from sklearn.isotonic import IsotonicRegression

        self._curve = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(score, label)

    def chance(self, score: Array) -> Array:
        """Return the chance that each row is positive."""
        return np.asarray(self._curve.predict(score), dtype=np.float64)


def estimate(scores: Array, reference: pd.DataFrame, threshold: float) -> Estimated | str:
    """Estimate the metrics of a classifier on rows without labels; or say why that cannot be done.

    Args:
        scores: What it gave the rows.
        reference: `score` and `label` of rows that it was not trained on.
        threshold: The score from which a row counts as positive.
    """
    known, label = (reference[name].to_numpy(np.float64) for name in ("score", "label"))
    if len(known) < FEWEST:
        return f"{len(known):,} rows of the holdout, {FEWEST} needed"
    if not label.any() or label.all():
        return "the holdout has only one class"
    if not len(scores):
        return "the window holds no predictions of the champion"
    chance = Calibration(known, label).chance(scores)
    return Estimated(
        rows=len(scores),
        metrics=expected_metrics(chance, scores, threshold),
        reference_rows=len(known),
        reference=expected_metrics(label, known, threshold),
        errors=_errors(chance, scores, threshold),
    )


def _errors(chance: Array, score: Array, threshold: float) -> dict[str, float | None]:
    """Return how far each metric differs between parts of the rows, for all of them together."""
    if len(score) < _PARTS:
        return {}
    parts = [expected_metrics(chance[at::_PARTS], score[at::_PARTS], threshold) for at in range(_PARTS)]
    found: dict[str, float | None] = {}
    for name in parts[0]:
        values = [value for each in parts if (value := each[name]) is not None]
        known = len(values) == _PARTS
        found[name] = float(np.std(values, ddof=1) / np.sqrt(_PARTS)) if known else None
    return found


def expected_metrics(chance: Array, score: Array, threshold: float) -> dict[str, float | None]:
    """Return the metrics to be expected where a row is positive by chance; labels are chances of 0 and 1.

    Args:
        chance: That each row is positive.
        score: What the model gave it.
        threshold: The score from which a row counts as positive.
    """
    yes = score >= threshold
    tp, fp = float(chance[yes].sum()), float((1 - chance[yes]).sum())
    fn, tn = float(chance[~yes].sum()), float((1 - chance[~yes]).sum())
    likely = np.clip(score, _TINY, 1 - _TINY)
    return {
        "roc_auc": _area(chance, score),
        "log_loss": float(-np.mean(chance * np.log(likely) + (1 - chance) * np.log(1 - likely))),
        "brier": float(np.mean(chance * (1 - score) ** 2 + (1 - chance) * score**2)),
        "accuracy": (tp + tn) / len(score),
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "f1": _share(tp, tp + (fp + fn) / 2),
        "true_positives": tp,
        "false_positives": fp,
        "false_negatives": fn,
        "true_negatives": tn,
    }


def _area(chance: Array, score: Array) -> float | None:
    """Return the area under the expected curve: positive rows before negative ones, ties counting half."""
    _, at = np.unique(score, return_inverse=True)
    positive, negative = np.bincount(at, chance), np.bincount(at, 1 - chance)
    before = np.cumsum(negative) - negative
    return _share(float(positive @ (before + negative / 2)), float(positive.sum() * negative.sum()))


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
