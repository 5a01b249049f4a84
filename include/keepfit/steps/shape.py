"""What a column's sketch says of its shape: quantiles, its commonest value, which values are known."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FEWEST = 300
"""With fewer values nothing is said of a shape."""
_LEVELS = np.linspace(0.025, 0.975, 39)
_SAME = 1e-5
"""Two numbers that differ by so small a part of them are one: conversions are rounded."""


@dataclass(frozen=True, eq=False)
class Shape:
    """The finite numbers of a column, in order, and how often each occurs."""

    values: Array
    counts: NDArray[np.int64]

    @cached_property
    def rows(self) -> float:
        """How many numbers there are."""
        return float(self.counts.sum())

    @cached_property
    def quantiles(self) -> Array | None:
        """Its quantiles, without a value that more than half of the rows have; None if too few are left."""
        values, counts = self.values, self.counts
        if len(counts) and counts.max() > self.rows / 2:
            kept = np.arange(len(counts)) != counts.argmax()
            values, counts = values[kept], counts[kept]
        if counts.sum() < FEWEST:
            return None
        found: Array = values[np.searchsorted(counts.cumsum(), _LEVELS * counts.sum())]
        return found if self._spread(found) else None

    @cached_property
    def spread(self) -> float:
        """The mean distance of the quantiles from the median."""
        return 0.0 if self.quantiles is None else self._spread(self.quantiles)

    def image(self, factor: float, offset: float) -> "Shape":
        """Multiply all numbers, then add to them."""
        way = 1 if factor > 0 else -1
        return Shape((self.values * factor + offset)[::way], self.counts[::way])

    def away(self, others: Iterable["Shape"]) -> float | None:
        """Return how far the quantiles are from the nearest other's, in spreads of the narrower one."""
        mine = self.quantiles
        if mine is None:
            return None
        return min(
            (
                float(np.abs(mine - other.quantiles).mean()) / min(self.spread, other.spread)
                for other in others
                if other.quantiles is not None
            ),
            default=None,
        )

    def known(self, former: Array) -> float:
        """Return the share of rows whose number is one of the former ones, which are in order."""
        if not len(former) or not self.rows:
            return 0.0
        at = np.searchsorted(former, self.values).clip(0, len(former) - 1)
        beside = np.minimum(np.abs(former[at] - self.values), np.abs(former[(at - 1).clip(0)] - self.values))
        return float(self.counts[beside <= _SAME * np.abs(self.values)].sum()) / self.rows

    def outside(self, others: Sequence["Shape"]) -> float:
        """Return the share of rows that lie well beyond all that the others hold."""
        ends = [(each.values[0], each.values[-1]) for each in others if each.rows]
        if not ends or not self.rows:
            return 0.0
        low, high = min(low for low, _ in ends), max(high for _, high in ends)
        margin = (high - low) / 4
        beyond = (self.values < low - margin) | (self.values > high + margin)
        return float(self.counts[beyond].sum()) / self.rows

    @staticmethod
    def _spread(quantiles: Array) -> float:
        return float(np.abs(quantiles - np.median(quantiles)).mean())


def all_values(shapes: Iterable[Shape]) -> Array:
    """Return every number that any of them holds, in order."""
    return np.unique(np.concatenate([np.empty(0), *(each.values for each in shapes)]))
