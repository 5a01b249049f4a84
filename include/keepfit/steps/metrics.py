"""What models are measured by. Each takes the truth and the scores, and needs at least one row.

A metric that the rows do not define, such as the area under a curve of one class, is NaN.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from keepfit import plugins
from keepfit.errors import TrainingError
from keepfit.steps import row_losses

Array = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., float])


def higher_is_better(function: Function) -> Function:
    """Mark a metric of which more is better."""
    function.higher_is_better = True  # type: ignore[attr-defined]
    return function


def favours_a_guess(function: Function) -> Function:
    """Mark a metric by which the mean label for every row is hard to beat: it does not tell a model's use."""
    function.favours_a_guess = True  # type: ignore[attr-defined]
    return function


@higher_is_better
def roc_auc(y_true: Array, score: Array) -> float:
    """Return the chance that a positive row scores higher than a negative one, ties counting half."""
    positives = float(y_true.sum())
    negatives = len(y_true) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, at, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[at]
    return float((ranks[y_true > 0].sum() - positives * (positives + 1) / 2) / (positives * negatives))


@higher_is_better
def average_precision(y_true: Array, score: Array) -> float:
    """Return the precision averaged over the positives, by falling score."""
    positives = float(y_true.sum())
    if positives == 0:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(y_true[order])
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    recall = hits[last] / positives
    return float(np.sum(np.diff(recall, prepend=0.0) * hits[last] / (last + 1)))


def log_loss(y_true: Array, score: Array) -> float:
    """Return the mean negative log-likelihood of the truth."""
    return float(np.mean(row_losses.log_losses(y_true, score)))


def brier(y_true: Array, score: Array) -> float:
    """Return the mean squared error of the probabilities."""
    return float(np.mean(row_losses.squares(y_true, score)))


@favours_a_guess
def calibration_error(y_true: Array, score: Array) -> float:
    """Return the expected calibration error over 15 bins of equal width (Guo et al. 2017)."""
    bins = row_losses.calibration_bins(score)
    gaps = np.bincount(bins, weights=score - y_true, minlength=row_losses.BINS)
    return float(np.abs(gaps).sum() / len(score))


@higher_is_better
def accuracy(y_true: Array, score: Array) -> float:
    """Return the share of rows on the right side of one half."""
    return float(np.mean(row_losses.hits(y_true, score)))


def mae(y_true: Array, score: Array) -> float:
    """Return the mean absolute error."""
    return float(np.mean(row_losses.distances(y_true, score)))


def rmse(y_true: Array, score: Array) -> float:
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.mean(row_losses.squares(y_true, score))))


@higher_is_better
def r2(y_true: Array, score: Array) -> float:
    """Return the share of the variance that the scores explain."""
    spread = float(np.sum((y_true - y_true.mean()) ** 2))
    return 1 - float(np.sum((score - y_true) ** 2)) / spread if spread > 0 else float("nan")


def pinball(y_true: Array, score: Array, quantile: float = 0.5) -> float:
    """Return the loss that a quantile minimises; the median's unless another is asked for."""
    return float(np.mean(row_losses.pinballs(y_true, score, quantile)))


pinball_10 = partial(pinball, quantile=0.1)
pinball_90 = partial(pinball, quantile=0.9)


def find_metric(name: str) -> plugins.Metric:
    """Return a metric by name: built in, installed, or `module:function` in `plugins/`."""
    metric: plugins.Metric = plugins.find("metrics", name)
    return metric


def is_higher_better(metric: plugins.Metric) -> bool:
    """Tell a metric's direction; lower is better unless it says otherwise."""
    return bool(getattr(metric, "higher_is_better", False))


def tells_use(metric: plugins.Metric) -> bool:
    """Tell whether a model that does worse than the mean label is of no use; a metric may say no."""
    return not getattr(metric, "favours_a_guess", False)


def measure(names: tuple[str, ...], y_true: Array, score: Array) -> dict[str, float]:
    """Compute metrics by name.

    Raises:
        TrainingError: A metric fails, or answers with something else than a number.
    """
    return {name: _number(name, find_metric(name), y_true, score) for name in names}


def _number(name: str, metric: plugins.Metric, y_true: Array, score: Array) -> float:
    try:
        return float(metric(y_true, score))
    except Exception as error:
        raise TrainingError(
            f"The metric {name!r} fails on {len(y_true)} rows: {type(error).__name__}: {error}. "
            "A metric takes two arrays, the truth and the scores, and returns a number: NaN where they "
            "define none, as for rows of one class or scores that are all the same."
        ) from error
