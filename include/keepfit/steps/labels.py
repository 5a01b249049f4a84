"""Labels: where they lie, what names the row they belong to, and when they are known."""

from dataclasses import dataclass
from datetime import datetime, timedelta

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
    labels.kinds(connection)
    time, where = identifier(labels.time), read_condition(connection, labels.where, labels.where_field)
    row = connection.execute(
        f"SELECT count(*) FROM (SELECT DISTINCT {', '.join(labels.named_by.values())} "
        f"FROM {identifier(labels.table)} "
        f"WHERE {between(time, window)} AND {identifier(labels.column)} IS NOT NULL AND {where})"
    ).fetchone()
    return int(row[0]) if row else 0
