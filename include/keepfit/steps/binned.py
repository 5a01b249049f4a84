"""Counts of two sketches in the same bins, which are Evidently's."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.backends.sketches import Sketch

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
FEW = 20
"""With more different numbers in the reference than these, numbers are binned."""


def bins(reference: Sketch, current: Sketch) -> tuple[Counts, Counts]:
    """Count both sides in the same bins: by Sturges' rule, or each value for itself where they are few."""
    if reference.kind == "category" or len(reference.values) <= FEW:
        return of_each_value(reference, current)
    first, last = min(reference.low, current.low), max(reference.high, current.high)
    width = (last - first) / (np.log2(reference.n + current.n) + 1.0)
    edges = np.linspace(first, last, math.ceil((last - first) / width) + 1)
    return _within(reference, edges), _within(current, edges)


def of_each_value(reference: Sketch, current: Sketch) -> tuple[Counts, Counts]:
    """Count each value on both sides; what was folded is one more."""
    values, at = np.unique(np.concatenate([reference.values, current.values]), return_inverse=True)
    old = np.bincount(at[: len(reference.values)], reference.counts, len(values))
    new = np.bincount(at[len(reference.values) :], current.counts, len(values))
    if not reference.folded + current.folded:
        return _whole(old), _whole(new)
    return _whole(np.append(old, reference.folded)), _whole(np.append(new, current.folded))


def ends(reference: Sketch, current: Sketch) -> Array:
    """Return where the counts below are known on both sides: just above each value, or the ends of cells."""
    exponents = [each.exponent for each in (reference, current) if each.exponent is not None]
    values: Array = np.union1d(reference.values, current.values).astype(np.float64)
    if not exponents:
        just_above: Array = np.nextafter(values, np.inf)
        return just_above
    exponent = max(exponents)
    upper = np.ldexp(np.floor(np.ldexp(values, -exponent)) + 1, exponent)
    return np.unique(np.asarray(upper, np.float64))


def below(sketch: Sketch, at: Array) -> Array:
    """Count the rows below given numbers; those of a cell that is cut lie evenly in it."""
    before = np.concatenate([[0.0], np.cumsum(sketch.counts)])
    if sketch.exponent is None:
        return np.asarray(before[np.searchsorted(sketch.values, at)], np.float64)
    cells, wanted = (np.ldexp(each, -sketch.exponent) for each in (sketch.values, at))
    cells, whole = np.floor(cells), np.floor(wanted)
    found = np.searchsorted(cells, whole)
    cut = np.append(cells, np.nan)[found] == whole
    inside = np.append(sketch.counts, 0)[found] * (wanted - whole)
    return np.asarray(before[found] + np.where(cut, inside, 0.0), np.float64)


def _within(sketch: Sketch, edges: Array) -> Counts:
    """Count between edges, the last included; rows stay whole."""
    found = below(sketch, edges)
    found[-1] = sketch.counts.sum()
    return _whole(np.diff(np.rint(found)))


def _whole(counts: NDArray[Any]) -> Counts:
    return counts.astype(np.int64)
