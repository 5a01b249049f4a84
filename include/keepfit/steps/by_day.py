"""Compute a metric of days drawn again and again from what each day adds to it.

A draw is how often each day counts. What a metric needs of a day is summed up once; a thousand draws are
then a product of two small matrices. A metric of one's own is computed anew from the rows of each draw, of
which there are fewer where there are many rows; one that is a mean of rows says so by `row_values`, a
function that returns each row's own.
"""

from collections.abc import Callable, Hashable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from keepfit.plugins import Metric
from keepfit.steps import by_rank, metrics, row_losses
from keepfit.steps.metrics import find_metric, measure
from keepfit.steps.row_losses import Array

Days = NDArray[np.int64]
"""The day of each row, counted from 0."""
Rows = Callable[[Array, Array], Array]
ByDay = Callable[[Array, Array, Days, Array], Array]
"""Takes truth, scores, days and draws (one a line, one column a day) and returns the metric of each draw."""

FEWEST_DRAWS = 100
_ROWS_IN_ALL = 50_000_000
"""About so many rows are gone through for a metric of one's own."""


def resample(name: str, y_true: Array, score: Array, day: Days, draws: Array) -> Array:
    """Return the metric of each draw of days; NaN where the rows drawn do not define it.

    Args:
        name: The metric's name.
        y_true: The truth.
        score: The scores.
        day: The day of each row.
        draws: How often each day counts in each draw.
    """
    metric = find_metric(name)
    if len(y_true) == 0:
        return np.full(len(draws), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        if isinstance(metric, Hashable) and (known := _KNOWN.get(metric)):
            return known(y_true, score, day, draws)
        if rows := getattr(metric, "row_values", None):
            return _mean(rows, y_true, score, day, draws)
    return _anew(name, y_true, score, day, draws[: max(FEWEST_DRAWS, _ROWS_IN_ALL // len(y_true))])


def _mean(rows: Rows, y_true: Array, score: Array, day: Days, draws: Array) -> Array:
    sums = np.bincount(day, np.asarray(rows(y_true, score), np.float64), draws.shape[1])
    means: Array = (draws @ sums) / (draws @ _counts(day, draws))
    return means


def _rmse(y_true: Array, score: Array, day: Days, draws: Array) -> Array:
    roots: Array = np.sqrt(_mean(row_losses.squares, y_true, score, day, draws))
    return roots


def _r2(y_true: Array, score: Array, day: Days, draws: Array) -> Array:
    # About the middle, so that a truth far from 0 keeps its digits.
    centred, days = y_true - y_true.mean(), draws.shape[1]
    errors = draws @ np.bincount(day, row_losses.squares(y_true, score), days)
    spread = draws @ np.bincount(day, centred**2, days)
    spread -= (draws @ np.bincount(day, centred, days)) ** 2 / (draws @ _counts(day, draws))
    return np.where(spread > 0, 1 - errors / spread, np.nan)


def _calibration_error(y_true: Array, score: Array, day: Days, draws: Array) -> Array:
    cells = day * row_losses.BINS + row_losses.calibration_bins(score)
    gaps = np.bincount(cells, score - y_true, draws.shape[1] * row_losses.BINS)
    summed = np.abs(draws @ gaps.reshape(-1, row_losses.BINS)).sum(axis=1)
    errors: Array = summed / (draws @ _counts(day, draws))
    return errors


def _anew(name: str, y_true: Array, score: Array, day: Days, draws: Array) -> Array:
    found = np.full(len(draws), np.nan)
    for at, draw in enumerate(draws):
        rows = np.repeat(np.arange(len(day)), draw[day].astype(np.int64))
        if len(rows):
            found[at] = measure((name,), y_true[rows], score[rows])[name]
    return found


def _counts(day: Days, draws: Array) -> NDArray[np.int64]:
    return np.bincount(day, minlength=draws.shape[1])


_KNOWN: Mapping[Metric, ByDay] = {
    metrics.accuracy: partial(_mean, row_losses.hits),
    metrics.average_precision: by_rank.average_precision,
    metrics.brier: partial(_mean, row_losses.squares),
    metrics.calibration_error: _calibration_error,
    metrics.log_loss: partial(_mean, row_losses.log_losses),
    metrics.mae: partial(_mean, row_losses.distances),
    metrics.pinball: partial(_mean, row_losses.pinballs),
    metrics.pinball_10: partial(_mean, partial(row_losses.pinballs, quantile=0.1)),
    metrics.pinball_90: partial(_mean, partial(row_losses.pinballs, quantile=0.9)),
    metrics.r2: _r2,
    metrics.rmse: _rmse,
    metrics.roc_auc: by_rank.roc_auc,
}
