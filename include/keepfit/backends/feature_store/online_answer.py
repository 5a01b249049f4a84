"""What a reader of the online store answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class OnlineRows:
    """What the online store answered: as many rows as were asked for, in their order."""

    values: Mapping[str, list[Any]]
    """By feature, in the order asked: one plain Python value a row, None where there is none."""
    unknown: tuple[frozenset[str], ...]
    """By row: the views that hold nothing of its entity."""
    event_times: Mapping[str, list[datetime | None]]
    """By view: when each row's values became known; None where the entity is unknown."""
    stale: Mapping[str, Sequence[int]]
    """By view: the rows whose values had outlived its time to live, and are not among `values`."""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.unknown)

    def rows(self) -> list[dict[str, Any]]:
        """Return the values row by row."""
        return [dict(zip(self.values, row, strict=True)) for row in zip(*self.values.values(), strict=True)]


def unknown_of(times: Mapping[str, Sequence[datetime | None]], rows: int) -> tuple[frozenset[str], ...]:
    """Name for each row the views that have no event time for it."""
    found: list[set[str]] = [set() for _ in range(rows)]
    for name, moments in times.items():
        if None in moments:
            for row, moment in enumerate(moments):
                if moment is None:
                    found[row].add(name)
    return tuple(map(frozenset, found))
