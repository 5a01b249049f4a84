"""Online values that have outlived their view's time to live: the point-in-time join gives none for them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any


def stale_rows(
    known: Sequence[datetime | None], moments: Sequence[datetime], ttl: timedelta | None
) -> list[int]:
    """Return the rows whose values are not good any more at their moment; at its very end they still are.

    Args:
        known: When each row's values became known; None where there are none.
        moments: The moment each row is of.
        ttl: How long values stay good, both ends included. For ever when not given.
    """
    if ttl is None:
        return []
    pairs = enumerate(zip(known, moments, strict=True))
    return [row for row, (since, moment) in pairs if since is not None and moment - since > ttl]


def without(columns: Mapping[str, list[Any]], rows: Sequence[int]) -> dict[str, list[Any]]:
    """Return columns that have no value in some rows."""
    if not rows:
        return dict(columns)
    found = {name: list(values) for name, values in columns.items()}
    for values in found.values():
        for row in rows:
            values[row] = None
    return found
