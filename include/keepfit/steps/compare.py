"""Compare two models on the same rows, with how sure the difference is."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.plugins import Metric
from keepfit.steps.evaluate import CHALLENGER, CHAMPION

FEWEST_DAYS = 5
"""A bootstrap of fewer blocks than this says more of the days drawn than of the models."""


@dataclass(frozen=True)
class Comparison:
    """The challenger's objective less the champion's, and where the true difference lies."""

    difference: float
    low: float
    high: float
    days: int


def compare(
    scores: pd.DataFrame, metric: Metric, *, resamples: int, confidence: float, seed: int
) -> Comparison:
    """Compare two models by a paired bootstrap of whole days.

    Rows of one day go up and down together: drawn one by one they would make luck look certain.

    Args:
        scores: `event_time`, `label`, `challenger`, `champion`.
        metric: What to compare by.
        resamples: How many times to draw as many days as there are, with replacement.
        confidence: The share of the differences the interval holds, the rest cut off evenly at both ends.
        seed: Fixes the draws.
    """
    day = pd.to_datetime(scores["event_time"], utc=True).dt.floor("D")
    blocks = list(day.groupby(day, sort=True).indices.values())
    label, ours, theirs = (scores[name].to_numpy(np.float64) for name in ("label", CHALLENGER, CHAMPION))

    def difference(rows: NDArray[np.int64]) -> float:
        return float(metric(label[rows], ours[rows])) - float(metric(label[rows], theirs[rows]))

    chance = np.random.default_rng(seed)
    drawn = (chance.integers(len(blocks), size=len(blocks)) for _ in range(resamples))
    found = np.array([difference(np.concatenate([blocks[at] for at in each])) for each in drawn])
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(found, [tail, 1 - tail]) if np.isfinite(found).any() else (np.nan, np.nan)
    return Comparison(difference(np.arange(len(label))), float(low), float(high), len(blocks))
