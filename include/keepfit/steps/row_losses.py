"""What single rows add to the metrics that are means of rows."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BINS = 15
"""Of the calibration error, all of equal width."""
_TINY = float(np.finfo(np.float64).eps)
_HALF = 0.5


def log_losses(y_true: Array, score: Array) -> Array:
    """Return each row's negative log-likelihood of the truth."""
    likely = np.clip(np.where(y_true > 0, score, 1 - score), _TINY, 1 - _TINY)
    losses: Array = -np.log(likely)
    return losses


def squares(y_true: Array, score: Array) -> Array:
    """Return each row's squared error."""
    errors: Array = (score - y_true) ** 2
    return errors


def distances(y_true: Array, score: Array) -> Array:
    """Return each row's absolute error."""
    errors: Array = np.abs(score - y_true)
    return errors


def hits(y_true: Array, score: Array) -> Array:
    """Return 1 for each row on the right side of one half, else 0."""
    right: Array = ((score >= _HALF) == (y_true > 0)).astype(np.float64)
    return right


def pinballs(y_true: Array, score: Array, quantile: float = _HALF) -> Array:
    """Return each row's loss that a quantile minimises."""
    short = y_true - score
    losses: Array = np.maximum(quantile * short, (quantile - 1) * short)
    return losses


def calibration_bins(score: Array) -> NDArray[np.int64]:
    """Return the bin of each row's probability."""
    return np.clip((score * BINS).astype(np.int64), 0, BINS - 1)
