"""Make a column's two sketches comparable, or say what is wrong with them."""

import math
from dataclasses import dataclass, replace

import numpy as np

from keepfit.backends.sketches import Sketch
from keepfit.policy import MissingChange

TOP = 100
"""A column with more categories than this keeps the reference's most frequent ones."""
NOTICEABLE = 0.05
"""A share of missing values that moved by so much is worth a word."""


@dataclass(frozen=True)
class UnseenShare:
    """How much of a window lies in categories that the reference does not have."""

    column: str
    share: float
    noise: float
    """What is to be expected of it when nothing has changed, judged by the reference's rarest ones."""


@dataclass(frozen=True)
class Comparable:
    """Both sides of a column, of one kind."""

    reference: Sketch
    current: Sketch
    missing: MissingChange
    unseen: UnseenShare | None = None
    fault: str = ""
    """What no shift in the world explains."""

    @property
    def values(self) -> int:
        """How many values the side with fewer has."""
        return min(self.reference.n, self.current.n)

    @property
    def is_noticeable(self) -> bool:
        """Tell whether the share of missing values moved noticeably, and more than by luck."""
        return abs(self.missing.now - self.missing.before) >= max(NOTICEABLE, self.missing.noise)


def comparable(column: str, reference: Sketch, current: Sketch) -> Comparable | None:
    """Pair a column's two sides; None if its type is not one that drifts, such as a time."""
    if _is_other(reference) or (not reference.n and _is_other(current)):
        return None
    missing = _missing(column, reference, current)
    if reference.n and current.n and reference.kind != current.kind:
        fault = f"{column} was a {reference.kind} and is {f'a {current.kind}' if current.kind else 'none'}"
        return Comparable(reference, current, missing, fault=fault)
    if current.strange:
        fault = f"{column} was a number and holds {current.strange!r}"
        return Comparable(reference, current, missing, fault=fault)
    if not reference.n or reference.kind == "number":
        return Comparable(reference, current, missing)
    return Comparable(*_top(reference, current), missing, _unseen(column, reference, current))


def _is_other(sketch: Sketch) -> bool:
    return bool(sketch.n) and sketch.kind is None


def _missing(column: str, reference: Sketch, current: Sketch) -> MissingChange:
    before, now = reference.missing_share, current.missing_share
    rows = reference.rows, current.rows
    if not all(rows):
        return MissingChange(column, before, now)
    pooled = (before * rows[0] + now * rows[1]) / sum(rows)
    return MissingChange(column, before, now, 2 * math.sqrt(pooled * (1 - pooled) * sum(1 / n for n in rows)))


def _top(reference: Sketch, current: Sketch) -> tuple[Sketch, Sketch]:
    """Fold rare categories into one: a score over thousands of them is mostly noise."""
    if max(len(reference.values), len(current.values)) <= TOP:
        return reference, current
    kept = set(reference.values[:TOP].tolist())
    return _only(reference, kept), _only(current, kept)


def _only(sketch: Sketch, kept: set[str]) -> Sketch:
    there = np.array([text in kept for text in sketch.values.tolist()], bool)
    beyond = sketch.folded + int(sketch.counts[~there].sum())
    return replace(sketch, values=sketch.values[there], counts=sketch.counts[there], folded=beyond)


def _unseen(column: str, reference: Sketch, current: Sketch) -> UnseenShare | None:
    """Measure what is new; None where the reference has too many categories to know all of them."""
    if reference.folded or not current.n:
        return None
    new = _only(replace(current, folded=0), set(reference.values.tolist())).folded
    # Good and Turing: what was seen once stands for what was not seen yet.
    once = int((reference.counts == 1).sum())
    rate = min((once + 1) / reference.n, 1.0)
    luck = math.sqrt(rate * (1 - rate) / current.n + once / reference.n**2)
    return UnseenShare(column, new / current.n, rate + 2 * luck)
