"""Counts of numbers in cells: exact while the values are few, else in a grid that only ever gets coarser.

The width of the cells is the smallest power of two that leaves at most `CAP` of them occupied. A union never
needs a finer grid than its parts, and a cell lies whole in one that is twice as wide: so cells counted apart
and joined, in any order, are those counted in one go.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CAP = 4096
"""So many cells a sketch has at most; a column with so many values or fewer is kept exactly."""
BEYOND = 1e150
"""Numbers of this size count as infinite: their squares hardly fit a float."""
_FINEST = -500
"""The exponent of the finest grid, in which no number up to `BEYOND` overflows."""
_DENSE = 1 << 17


@dataclass(frozen=True)
class Cells:
    """The mean and the count of each occupied cell, in the order of the means."""

    means: Array
    counts: NDArray[np.int64]
    exponent: int | None = None
    """A cell is 2 to the power of this wide; None where each cell is one value."""


NONE = Cells(np.zeros(0), np.zeros(0, np.int64))


def counted(values: Array, exponent: int | None = None) -> Cells:
    """Count finite numbers, in a grid at least as coarse as the exponent says."""
    if exponent is None:
        ordered = np.sort(values)
        each = Cells(ordered, np.ones(len(ordered), np.int64))
        few = np.count_nonzero(ordered[1:] != ordered[:-1]) < CAP
        return _grouped(each, None) if few else fitted(each)
    at = _cell(values, exponent)
    low = at.min()
    if at.max() - low >= _DENSE:
        ordered = np.sort(values)
        return fitted(_grouped(Cells(ordered, np.ones(len(ordered), np.int64)), exponent))
    dense = (at - low).astype(np.int64)
    counts = np.bincount(dense)
    there = np.flatnonzero(counts)
    sums = np.bincount(dense, values)[there]
    means = _kept_inside(sums / counts[there], there + low, exponent)
    return fitted(Cells(means, counts[there], exponent))


def joined(one: Cells, other: Cells) -> Cells:
    """Put the cells of two sketches together."""
    exponents = [each.exponent for each in (one, other) if each.exponent is not None]
    means = np.concatenate([one.means, other.means])
    order = np.argsort(means, kind="stable")
    both = Cells(means[order], np.concatenate([one.counts, other.counts])[order])
    return fitted(_grouped(both, max(exponents, default=None)))


def fitted(cells: Cells) -> Cells:
    """Coarsen until at most `CAP` cells are occupied, and no further."""
    if len(cells.means) <= CAP:
        return cells
    least, step = _FINEST if cells.exponent is None else cells.exponent, 1
    # Two to four times as many cells as `CAP` reach from the lowest to the highest.
    exponent = max(math.frexp(cells.means[-1] - cells.means[0])[1] - 14, least)
    while exponent > least and _occupied(cells.means, exponent) <= CAP:
        exponent, step = max(exponent - step, least), step * 2
    found = _grouped(cells, exponent)
    while len(found.means) > CAP:
        exponent += 1
        found = _grouped(found, exponent)
    return found


def _cell(values: Array, exponent: int) -> Array:
    return np.asarray(np.floor(values * 2.0**-exponent), np.float64)


def _occupied(ordered: Array, exponent: int) -> int:
    at = _cell(ordered, exponent)
    return int(np.count_nonzero(at[1:] != at[:-1])) + 1


def _grouped(cells: Cells, exponent: int | None) -> Cells:
    """Merge neighbours that are in one cell, or are one value."""
    if not len(cells.means):
        return Cells(cells.means, cells.counts, exponent)
    at = cells.means if exponent is None else _cell(cells.means, exponent)
    starts = np.concatenate([[0], np.flatnonzero(at[1:] != at[:-1]) + 1])
    counts = np.add.reduceat(cells.counts, starts)
    if exponent is None:
        return Cells(cells.means[starts], counts)
    means = np.add.reduceat(cells.means * cells.counts, starts) / counts
    return Cells(_kept_inside(means, at[starts], exponent), counts, exponent)


def _kept_inside(means: Array, at: Array, exponent: int) -> Array:
    """Let no rounding move a mean out of its cell."""
    low, high = np.ldexp(at, exponent), np.ldexp(at + 1, exponent)
    return np.clip(means, low, np.nextafter(high, low))
