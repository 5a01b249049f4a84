"""Shifts of a known size, put into a column's sketch to see whether they would be noticed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from keepfit.backends.sketches import Kind, Sketch

Statistic = Literal["score", "missing", "unseen"]
_NEW = "\x00keepfit: never there before"


@dataclass(frozen=True)
class Shift:
    """A way in which a column may move, and how far, from little to much."""

    name: str
    grades: Sequence[float]
    seen_in: Statistic
    """Which measure of two windows should tell."""
    of: tuple[Kind, ...]
    put: Callable[[Sketch, float], Sketch]


def _moved(sketch: Sketch, deviations: float) -> Sketch:
    return sketch.shifted(deviations * sketch.std)


def _wider(sketch: Sketch, by: float) -> Sketch:
    mean = sketch.mean
    return sketch.shifted(-mean).scaled(by).shifted(mean)


def _emptied(sketch: Sketch, share: float) -> Sketch:
    """Take a share of the values away, evenly."""
    left = _thinned(sketch, share)
    return replace(left, missing=sketch.missing + sketch.n - left.n)


def _renamed(sketch: Sketch, share: float) -> Sketch:
    """Give a share of the rows a category that was never there."""
    left = _thinned(sketch, share)
    values = np.append(left.values, _NEW)
    return replace(left, values=values, counts=np.append(left.counts, sketch.n - left.n))


def _thinned(sketch: Sketch, share: float) -> Sketch:
    # Rounding sums, and not counts, keeps the share right where each value is there once.
    kept = np.diff(np.rint(np.cumsum(sketch.counts) * (1 - share)), prepend=0).astype(np.int64)
    there = kept > 0
    return replace(
        sketch, values=sketch.values[there], counts=kept[there], squares=sketch.squares * (1 - share)
    )


SHIFTS: Mapping[str, Shift] = {
    each.name: each
    for each in (
        Shift("mean", (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3), "score", ("number",), _moved),
        Shift("scale", (1.1, 1.2, 1.5, 2, 3, 5, 10), "score", ("number",), _wider),
        Shift("missing", (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5), "missing", ("number", "category"), _emptied),
        Shift("unseen", (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5), "unseen", ("category",), _renamed),
    )
}
"""Mean: by so many standard deviations. Scale: times so much about the mean. Missing and unseen: shares."""
