"""Labels: where they lie, what names the row they belong to, and when they are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from keepfit.backends.engine import Connection, columns_of, identifier, identifiers, moment
from keepfit.backends.select import read_condition
from keepfit.errors import SchemaError
from keepfit.spec.window import Window
from keepfit.steps.made_predictions import between

NEAR = timedelta(days=1)
"""So far from a row's event time it may be asked for online, if the request does not give that time."""


@dataclass(frozen=True)
class Labels:
    """Where labels lie and when they are known."""

    table: str
    """A table of the engine's connection."""
    key: tuple[str, ...]
    column: str
    time: str
    """The column that says when a row is known."""
    where: str | None = None
    """Which of the rows are the model's; all when not given."""
    where_field: str = "entities.where"
    """Where that condition is written, for errors."""
    own: bool = False
    """Whether a label lies in the row it labels, so that key and event time name it; else the key does."""

    @property
    def named_by(self) -> dict[str, str]:
        """What names a row: a prediction's columns, and the labels' own as SQL."""
        columns = {name: identifier(name) for name in self.key}
        return columns | {"event_time": identifier(self.time)} if self.own else columns

    @property
    def value(self) -> str:
        """The label as SQL; null where it is not finite."""
        value = f"CAST({identifier(self.column)} AS DOUBLE)"
        return f"CASE WHEN isfinite({value}) THEN {value} END"

    def kinds(self, connection: Connection) -> dict[str, str]:
        """Return the key's columns with their types in the engine.

        Raises:
            SchemaError: The labels are published without a column they need.
        """
        there = columns_of(connection, identifier(self.table))
        gone = [each for each in (*self.key, self.column, self.time) if each not in there]
        if gone:
            raise SchemaError(
                f"The label {self.column!r} is joined by {', '.join(self.key)}, but its dataset is "
                f"published without {', '.join(gone)}. Publish these columns, or name another "
                "`label.dataset`."
            )
        return {name: there[name] for name in self.key}

    def rows(self) -> str:
        """Write the query for all labels: the key, `row_time` (own labels' only), `label`, `known_at`."""
        key, time = identifiers(self.key), identifier(self.time)
        row_time = f", {time} AS row_time" if self.own else ""
        return (
            f"SELECT {key}{row_time}, {self.value} AS label, {time} AS known_at FROM {identifier(self.table)}"
        )

    def known_by(self, end: datetime, delay: timedelta) -> str:
        """Write the condition that one of `rows` is known at a moment."""
        return f"row_time < {moment(end - delay)}" if self.own else f"known_at < {moment(end)}"


def count_labels(connection: Connection, labels: Labels, window: Window) -> int:
    """Count the labelled rows of a window, each once.

    Raises:
        SpecError: The condition is no condition on the row.
    """
    return count_between(connection, labels, [window])[0, 0]


def count_between(
    connection: Connection, labels: Labels, windows: Sequence[Window]
) -> dict[tuple[int, int], int]:
    """Count the labelled rows from each window's start to the end of each that follows, each row once.

    Args:
        connection: The engine's, with the labels.
        labels: The labels.
        windows: One begins where the one before ends.

    Raises:
        SpecError: The condition is no condition on the row.
    """
    labels.kinds(connection)
    time, where = identifier(labels.time), read_condition(connection, labels.where, labels.where_field)
    names = {f"name_{number}": each for number, each in enumerate(labels.named_by.values())}
    whole = Window(windows[0].start, windows[-1].end)
    listed = ", ".join(f"({at}, {moment(each.start)}, {moment(each.end)})" for at, each in enumerate(windows))
    found = connection.execute(
        f"WITH labelled AS (SELECT {', '.join(f'{each} AS {name}' for name, each in names.items())}, "
        f"{time} AS known FROM {identifier(labels.table)} "
        f"WHERE {between(time, whole)} AND {identifier(labels.column)} IS NOT NULL AND {where}), "
        f"once AS (SELECT DISTINCT {', '.join(names)}, number FROM labelled "
        f"JOIN (VALUES {listed}) AS listed(number, begins, ends) ON known >= begins AND known < ends), "
        "latest AS (SELECT number, "
        f"coalesce(lag(number) OVER (PARTITION BY {', '.join(names)} ORDER BY number), -1) AS former "
        "FROM once) "
        "SELECT former, number, count(*) FROM latest GROUP BY ALL"
    ).fetchall()
    return _between(found, len(windows))


def _between(found: Sequence[tuple[int, int, int]], windows: int) -> dict[tuple[int, int], int]:
    """Add up, for each first window, what no window from it on has had before.

    Args:
        found: The window where a row was seen before, or -1, one where it is, and how many rows are so.
        windows: How many there are.
    """
    rows = np.zeros((windows, windows), np.int64)
    for former, at, count in found:
        rows[former + 1, at] = count
    new = rows.cumsum(axis=0)
    return {
        (first, last): int(new[first, first : last + 1].sum())
        for first in range(windows)
        for last in range(first, windows)
    }
