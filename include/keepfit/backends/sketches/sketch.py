"""A column's sketch: what drift, policies and replay need of it, in a few kilobytes, whatever its rows."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from keepfit.backends.sketches import cells
from keepfit.backends.sketches.cells import CAP, Array, Cells

Kind = Literal["number", "category"]


@dataclass(frozen=True, eq=False)
class Sketch:
    """Counts of a column's values, mergeable in any order.

    A sketch without a value may be merged with one of either kind.
    """

    kind: Kind | None
    """None for a column of another kind, such as a time: only its missing values are counted."""
    rows: int
    missing: int
    """Nulls and NaN."""
    values: NDArray[Any]
    """Numbers: the mean of each cell, ascending. Categories: their texts, the most frequent first."""
    counts: NDArray[np.int64]
    infinite: int = 0
    exponent: int | None = None
    """The cells of numbers are 2 to the power of this wide; None where each is one value."""
    low: float = math.nan
    high: float = math.nan
    squares: float = 0.0
    """Numbers: the sum of squared distances from their mean."""
    folded: int = 0
    """Rows of categories that are too rare to be kept by name."""
    strange: str = ""
    """A text that is no number, in a column asked for as numbers; its rows count as missing."""

    @property
    def n(self) -> int:
        """How many rows have a value, which must be finite if it is a number."""
        return int(self.counts.sum()) + self.folded

    @property
    def is_exact(self) -> bool:
        """Tell whether each value has its own count."""
        return self.exponent is None and not self.folded

    @property
    def missing_share(self) -> float:
        """The share of rows without a value."""
        return 1 - self.n / self.rows if self.rows else 0.0

    @property
    def mean(self) -> float:
        """The mean of numbers; NaN if there are none."""
        return float(self.values @ self.counts) / self.n if self.n else math.nan

    @property
    def std(self) -> float:
        """The standard deviation of numbers; NaN if there are none."""
        return math.sqrt(self.squares / self.n) if self.n else math.nan

    def merge(self, other: "Sketch") -> "Sketch":
        """Return the sketch of the rows of both.

        Raises:
            ValueError: One is of numbers, the other of categories.
        """
        if self.n and other.n and self.kind != other.kind:
            raise ValueError(f"A sketch of kind {self.kind} cannot be merged with one of kind {other.kind}.")
        mine = self if self.n or not other.n else other
        total = replace(
            mine,
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            infinite=self.infinite + other.infinite,
            strange=self.strange or other.strange,
        )
        if not (self.n and other.n):
            return total
        return _with_numbers(total, self, other) if self.kind == "number" else _with_texts(total, self, other)

    def shifted(self, by: float) -> Self:
        """Return the sketch of the numbers plus a constant."""
        return self._moved(self.values + by, self.exponent, self.low + by, self.high + by, self.squares)

    def scaled(self, by: float) -> Self:
        """Return the sketch of the numbers times a constant that is not 0."""
        exponent = None if self.exponent is None else self.exponent + math.frexp(by)[1]
        ends = sorted((self.low * by, self.high * by))
        return self._moved(self.values * by, exponent, ends[0], ends[1], self.squares * by**2)

    def _moved(self, values: Array, exponent: int | None, low: float, high: float, squares: float) -> Self:
        # Each cell goes as one point: what was within it is not cut anew.
        order = np.argsort(values, kind="stable")
        moved = Cells(np.asarray(values[order], np.float64), self.counts[order], exponent)
        found = cells.joined(moved, cells.NONE)
        return replace(
            self,
            values=found.means,
            counts=found.counts,
            exponent=found.exponent,
            low=low,
            high=high,
            squares=squares,
        )


def of_numbers(values: Array, rows: int, *, least: int | None = None) -> Sketch:
    """Sketch numbers; NaN is missing.

    Args:
        values: All of them, or those that are not null.
        rows: How many rows they come from.
        least: The exponent of a grid that is fine enough.
    """
    values = np.asarray(values, np.float64)
    usable = np.abs(values) < cells.BEYOND
    finite = values if usable.all() else values[usable]
    infinite = int(np.count_nonzero(np.abs(values) >= cells.BEYOND)) if len(finite) < len(values) else 0
    missing = rows - len(finite) - infinite
    if not len(finite):
        return Sketch("number", rows, missing, np.zeros(0), np.zeros(0, np.int64), infinite)
    found = cells.counted(finite, least)
    low, high = float(finite.min()), float(finite.max())
    # Not by a dot product: it wakes the threads of BLAS, which then wait in a busy loop.
    squares = float(finite.var()) * len(finite) if high > low else 0.0
    return Sketch(
        "number", rows, missing, found.means, found.counts, infinite, found.exponent, low, high, squares
    )


def sketch_values(values: NDArray[Any]) -> Sketch:
    """Sketch numbers that are in memory, such as scores; NaN is missing."""
    return of_numbers(values, len(values))


def of_texts(counts: dict[str, int], rows: int, folded: int = 0) -> Sketch:
    """Sketch categories of which the counts are known; the rarest beyond `CAP` are folded into one."""
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    kept = np.array([count for _, count in ranked[:CAP]], np.int64)
    texts = np.array([text for text, _ in ranked[:CAP]], object)
    beyond = folded + sum(count for _, count in ranked[CAP:])
    return Sketch("category", rows, rows - int(kept.sum()) - beyond, texts, kept, folded=beyond)


def _with_numbers(total: Sketch, one: Sketch, other: Sketch) -> Sketch:
    parts = (Cells(each.values, each.counts, each.exponent) for each in (one, other))
    found = cells.joined(*parts)
    between = (one.mean - other.mean) ** 2 * one.n * other.n / (one.n + other.n)
    low, high = min(one.low, other.low), max(one.high, other.high)
    return replace(
        total,
        values=found.means,
        counts=found.counts,
        exponent=found.exponent,
        low=low,
        high=high,
        # The means of one and the same value differ in the last bit, which is no spread.
        squares=one.squares + other.squares + between if high > low else 0.0,
    )


def _with_texts(total: Sketch, one: Sketch, other: Sketch) -> Sketch:
    counts = dict(zip(one.values.tolist(), one.counts.tolist(), strict=True))
    for text, count in zip(other.values.tolist(), other.counts.tolist(), strict=True):
        counts[text] = counts.get(text, 0) + count
    found = of_texts(counts, total.rows, one.folded + other.folded)
    return replace(total, values=found.values, counts=found.counts, folded=found.folded)
