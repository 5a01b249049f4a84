"""What luck alone makes of a distance: a level that few of the scores of equal rows go beyond.

Rows are taken to be drawn one by one. Days in a row resemble each other, so a window of few days lies beyond
this more often: hold scores against calm windows, too.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from keepfit.backends.sketches import Sketch

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
LUCK = 0.0228
"""How often luck alone goes beyond the noise level: two standard deviations of a normal distribution."""
_DRAWS = 200
_CELLS = 40_000
"""With many cells fewer draws are made: there the scores differ little from draw to draw."""
_PIECES = 50


def of_wasserstein(reference: Sketch, current: Sketch) -> float:
    """Return mean + 2 standard deviations of the distance between two samples of the rows of both.

    The distance is then the area under the absolute value of a Brownian bridge at F, the rows' distribution
    function (del Barrio, Giné and Matrán 1999): normal at each point, with known covariances.
    """
    values = np.concatenate([reference.values, current.values])
    order = np.argsort(values, kind="stable")
    counts = np.concatenate([reference.counts, current.counts])[order]
    below = np.cumsum(counts)[:-1] / counts.sum()
    area = np.sqrt(below * (1 - below)) * np.diff(values[order])
    if not (total := area.sum()):
        return 0.0
    piece = np.minimum(np.cumsum(area) / total * _PIECES, _PIECES - 1).astype(np.int64)
    weight = np.bincount(piece, area)
    there = weight > 0
    at = np.bincount(piece, area * below)[there] / weight[there]
    low, high = np.minimum.outer(at, at), np.maximum.outer(at, at)
    alike = np.minimum(np.sqrt(low * (1 - high) / (high * (1 - low))), 1.0)
    both = np.sqrt(1 - alike**2) + alike * np.arcsin(alike) - 1
    spread = np.sqrt(max(2 / np.pi * float(weight[there] @ both @ weight[there]), 0.0))
    return float((np.sqrt(2 / np.pi) * total + 2 * spread) * np.sqrt(1 / reference.n + 1 / current.n))


def of_chi_square(cells: int, n: int, m: int) -> float:
    """Return the p-value that luck falls below: Evidently's test takes the reference for the truth."""
    return float(chi2.sf((1 + m / n) * chi2.isf(LUCK, cells - 1), cells - 1))


def by_draws(score: Callable[[Counts, Counts], Array], reference: Counts, current: Counts) -> float:
    """Return mean + 2 standard deviations of a score over pairs drawn from the rows of both."""
    pooled = reference + current
    pooled = pooled[pooled > 0]
    chance, draws = np.random.default_rng(0), max(20, min(_DRAWS, _CELLS // len(pooled)))
    shares = pooled / pooled.sum()
    drawn = (chance.multinomial(int(side.sum()), shares, draws) for side in (reference, current))
    scores = score(*drawn)
    return float(scores.mean() + 2 * scores.std())
