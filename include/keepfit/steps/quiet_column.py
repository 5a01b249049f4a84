"""One column through all quiet windows: what its scores were, and which shifts would stand out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import numpy as np

from keepfit.steps.alarms import Scores, alarm_of, chosen_on, needed, threshold_of
from keepfit.steps.calibration import ColumnCalibration, Power, way
from keepfit.steps.shifts import SHIFTS, Shift, Statistic

if TYPE_CHECKING:
    from keepfit.backends.sketches import Sketch
    from keepfit.spec.model import DriftSpec
    from keepfit.steps.distances import Method

FIRST = 4
"""So many windows are the first reference."""
FURTHER = 1.5
"""A jump is longer, by this factor, than all ways between quiet windows: some way is always the longest."""
SEEN = 0.8
"""A shift counts as seen when it is in so many of the windows."""
_DISTANCE = 0.1
"""Evidently's threshold for distances."""
Pair = tuple["Sketch", "Sketch"]


@dataclass(frozen=True)
class QuietColumn:
    """A column in every window, and what its ways and scores were while nothing was wrong."""

    name: str
    false_alarms: float
    used: float
    method: "Method"
    halves: Sequence[Pair]
    """Of each window."""
    steps: Sequence[Pair]
    """Each window after the first, and the one before."""
    pairs: Sequence[Pair]
    """All windows before, and the next."""
    scale: float

    @classmethod
    def of(cls, name: str, windows: Sequence[Pair], drift: "DriftSpec | None", false_alarms: float) -> Self:
        """Take a column's halves in each window, in the order of time."""
        sketches = [one.merge(other) for one, other in windows]
        merged = [sketches[0]]
        for each in sketches[1:]:
            merged.append(merged[-1].merge(each))
        pairs = [pair for pair in zip(merged[FIRST - 1 :], sketches[FIRST:], strict=False) if _full(pair)]
        halves = [pair for pair in windows if _full(pair)]
        # A threshold for p-values is none for the distances that are measured here.
        used = drift.threshold if drift and drift.threshold and drift.method != "ks" else _DISTANCE
        method = _method(merged[-1], drift)
        return cls(name, false_alarms, used, method, halves, list(pairwise(sketches)), pairs, merged[-1].std)

    @cached_property
    def scores(self) -> Scores:
        """Of each window against those before."""
        return [self._measured("score", pair) for pair in self.pairs]

    @cached_property
    def by_chance(self) -> Scores:
        """Of random halves."""
        return [self._measured("score", pair) for pair in self.halves]

    def calibrated(self) -> ColumnCalibration:
        """Choose its threshold, and say what that would see."""
        alarm = alarm_of(self.name, self.scores, self.by_chance, self.used, self.false_alarms)
        powers = tuple(self._power(each) for each in SHIFTS.values() if self._fits(each))
        ways = [found for pair in self.steps if (found := way(*pair, self.scale)) is not None]
        enough = len(ways) >= needed(self.false_alarms)
        return ColumnCalibration(alarm, powers, FURTHER * max(ways) if enough else None, self.scale)

    def _fits(self, shift: Shift) -> bool:
        return bool(self.pairs) and self.pairs[-1][1].kind in shift.of

    def _power(self, shift: Shift) -> Power:
        """Put a shift into each window, and count in how many it is seen."""
        quiet = [self._measured(shift.seen_in, pair) for pair in self.pairs]
        limit = threshold_of(quiet[: chosen_on(len(quiet))], self.false_alarms)
        if limit is None:
            return Power(shift.name, {}, None)
        seen = {
            f"{grade:g}": float(
                np.mean(
                    [
                        self._measured(shift.seen_in, (old, shift.put(new, grade))) > limit
                        for old, new in self.pairs
                    ]
                )
            )
            for grade in shift.grades
        }
        return Power(shift.name, seen, _smallest(seen))

    def _measured(self, what: Statistic, pair: Pair) -> float:
        from keepfit.steps.distances import measure

        old, new = pair
        if what == "missing":
            return abs(new.missing_share - old.missing_share)
        if what == "unseen":
            known = set(old.values.tolist())
            rows = zip(new.values.tolist(), new.counts.tolist(), strict=True)
            return float(sum(count for value, count in rows if value not in known)) / new.n
        return measure(old, new, self.method).score


def _smallest(seen: Mapping[str, float]) -> float | None:
    """Return the grade from which on a shift is always seen often enough."""
    smallest = None
    for grade, share in reversed(list(seen.items())):
        if share < SEEN:
            break
        smallest = float(grade)
    return smallest


def _full(pair: Pair) -> bool:
    return bool(pair[0].n and pair[1].n)


def _method(sketch: "Sketch", drift: "DriftSpec | None") -> "Method":
    """Compare by a distance: a p-value depends on the rows, so a threshold for it says nothing later."""
    wanted = drift.method if drift else "default"
    if sketch.kind == "category":
        return "psi" if wanted == "psi" else "jensenshannon"
    return wanted if wanted in ("psi", "jensenshannon") else "wasserstein"
