"""Draw days again, several in a row, and tell from the draws where a figure's true value lies.

Rows of one day go up and down together, and so, less, do days in a row: drawn one by one they make luck look
certain.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from keepfit.spec.gate import GateSpec, days_needed
from keepfit.steps.by_day import resample
from keepfit.steps.row_losses import Array

_MISSING = 0.05
"""The largest share of the draws that may leave a figure undefined."""


@dataclass(frozen=True)
class Estimate:
    """A figure of the holdout, and where its true value lies."""

    value: float
    error: float
    """The standard error; NaN where the draws do not define one."""
    freedom: float
    """Of Student's distribution, by which the interval is wider where there are few blocks."""
    low: float
    high: float

    def chance(self, slack: float) -> float:
        """Return how likely it is to see so little slack, or less, where there is truly none; 1 if unknown.

        Args:
            slack: How far the figure lies on the good side of a bound.
        """
        if not math.isfinite(slack + self.error):
            return 1.0
        return float(stdtr(self.freedom, slack / self.error)) if self.error else float(slack > 0)


@dataclass(frozen=True)
class Draws:
    """The days of the rows, and draws of as many days as there are, with replacement, block by block."""

    day: NDArray[np.int64]
    """Of each row, counted from 0 by those that have rows."""
    block: int
    """How many days in a row are drawn at once."""
    weights: Array
    """How often each day was drawn: one line a draw, one column a day."""

    @property
    def days(self) -> int:
        """How many days have rows."""
        return int(self.weights.shape[1])

    def too_few(self, days: int | None = None) -> int | None:
        """Return how many days are needed if so many, or all there are, are too few."""
        needed = days_needed(self.block)
        return needed if (self.days if days is None else days) < needed else None

    def of(self, metric: str, label: Array, score: Array, rows: NDArray[np.bool_] | None = None) -> Array:
        """Return a metric in each draw, of some rows only if wanted."""
        if rows is None:
            return resample(metric, label, score, self.day, self.weights)
        return resample(metric, label[rows], score[rows], self.day[rows], self.weights)

    def estimate(self, value: float, drawn: Array, confidence: float, days: int | None = None) -> Estimate:
        """Make an interval from what the draws gave: the figure plus and minus Student's quantile of errors.

        Percentiles of the draws would be too narrow with the few blocks of a holdout: they forget that its
        spread is estimated, too (Hesterberg 2015). Measured in `benchmarks/gate.py`.

        Args:
            value: The figure of all rows.
            drawn: The figure in each draw.
            confidence: The chance that the interval holds the true value.
            days: On how many days the rows in question lie, if not on all.
        """
        blocks = (days or self.days) / self.block
        defined = drawn[np.isfinite(drawn)]
        if len(defined) < (1 - _MISSING) * len(drawn) or blocks <= 1 or not math.isfinite(value):
            return Estimate(value, math.nan, math.nan, math.nan, math.nan)
        error = float(np.std(defined, ddof=1)) * math.sqrt(blocks / (blocks - 1))
        reach = float(stdtrit(blocks - 1, (1 + confidence) / 2)) * error
        return Estimate(value, error, blocks - 1, value - reach, value + reach)


def draw(times: "pd.Series[pd.Timestamp]", rule: GateSpec, seed: int) -> Draws:
    """Draw days, or stretches of days in a row, the last followed by the first.

    Args:
        times: When each row was asked about.
        rule: How many draws, and how long a block is.
        seed: Fixes the draws.
    """
    # Looking whether a cache would pay costs more than all the rest.
    moments = pd.to_datetime(times, utc=True, cache=False).dt.floor("D")
    codes, found = pd.factorize(moments, sort=True)
    days = len(found)
    block = rule.block_of(days)
    starts = np.random.default_rng(seed).integers(days, size=(rule.resamples, math.ceil(days / block), 1))
    drawn = ((starts + np.arange(block)) % days).reshape(rule.resamples, -1)[:, :days]
    cells = (drawn + np.arange(rule.resamples)[:, None] * days).ravel()
    weights = np.bincount(cells, minlength=rule.resamples * days).reshape(rule.resamples, days)
    return Draws(codes.astype(np.int64), block, weights.astype(np.float64))
