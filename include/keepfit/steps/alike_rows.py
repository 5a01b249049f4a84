"""Count rows of a window that share all their features: a load that came twice in part shows there alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keepfit.backends.engine import Connection, identifiers

if TYPE_CHECKING:
    from keepfit.backends.sketches import Sketch

ALIKE = "(rows alike)"
"""The name that the counts have among a window's sketches; no column is named so."""


def alike_rows(connection: Connection, relation: str, features: Sequence[str]) -> "Sketch":
    """Sketch how often each different row is there.

    Args:
        connection: The engine.
        relation: The window's rows: a table, view, or query in brackets.
        features: What makes two rows alike.
    """
    from keepfit.backends.sketches import sketch_columns

    # By a hash of 64 bits it takes less than half the time, and little memory.
    different = f"(SELECT count(*) AS times FROM {relation} GROUP BY hash({identifiers(features)}))"
    return sketch_columns(connection, different, ["times"])["times"]


def alike_share(times: "Sketch") -> float:
    """Return the share of rows that are there more than once."""
    rows = times.values * times.counts
    return float(rows[times.values > 1].sum() / rows.sum()) if len(rows) else 0.0
