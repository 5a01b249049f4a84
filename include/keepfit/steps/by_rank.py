"""Metrics of the rows' order in many draws of days, without putting the rows of each draw in order again."""

import numpy as np
from numpy.typing import NDArray

from keepfit.steps.row_losses import Array


def roc_auc(y_true: Array, score: Array, day: NDArray[np.int64], draws: Array) -> Array:
    """Count, for each two days, the pairs of a positive of the one that beats a negative of the other."""
    days, positive = draws.shape[1], y_true > 0
    order = np.argsort(score[positive])
    high, of_high = score[positive][order], day[positive][order]
    beaten = np.empty((days, days))
    for other in range(days):
        low = np.sort(score[~positive & (day == other)])
        wins = (np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")) / 2
        beaten[:, other] = np.bincount(of_high, wins, days)
    positives = draws @ np.bincount(of_high, minlength=days)
    negatives = draws @ np.bincount(day[~positive], minlength=days)
    shares: Array = np.einsum("rk,rk->r", draws @ beaten, draws) / (positives * negatives)
    return shares


def average_precision(y_true: Array, score: Array, day: NDArray[np.int64], draws: Array) -> Array:
    """Go down the scores once for each draw, each row counting as often as its day was drawn."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    positive, of_row = y_true[order], day[order]
    found = np.empty(len(draws))
    for at, draw in enumerate(draws):
        times = draw[of_row]
        hits, seen = np.cumsum(times * positive)[last], np.cumsum(times)[last]
        drawn = seen > 0
        gains = np.diff(hits[drawn], prepend=0.0) * hits[drawn] / seen[drawn]
        found[at] = gains.sum() / hits[-1]
    return found
