"""Join predictions with the labels that have become known, each row in exactly one window."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from keepfit.backends.engine import (
    Connection,
    columns_of,
    identifier,
    identifiers,
    literal,
    moment,
)
from keepfit.backends.select import read_condition
from keepfit.errors import SchemaError
from keepfit.spec.window import Window


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


@dataclass(frozen=True)
class LabelJoin:
    """How many of the predictions that should be labelled by now are."""

    predictions: int
    labelled: int
    null: int
    """Labels that are there, but empty or not finite."""
    late: int
    """Predictions whose label should be known and is not there."""
    maturity: float | None
    """The labelled share; None without predictions."""


def join_labels(
    connection: Connection,
    predictions: str,
    labels: Labels,
    *,
    window: Window,
    delay: timedelta,
    out: Path,
) -> LabelJoin:
    """Write the predictions whose labels became known in a window, with those labels.

    A row predicted twice counts with its latest prediction; one labelled twice with the label that
    was known last. Where labels are the rows' own, a key that comes again at another time is another row.

    Args:
        connection: The engine, with predictions and labels as tables.
        predictions: The name of the table of the model's predictions.
        labels: The labels.
        window: The monitored window. Nothing known after its end is looked at.
        delay: How long after a prediction its label is known.
        out: The Parquet file to write: key, event_time, score, version, label.
    """
    _refuse_missing_columns(connection, labels)
    made = window.shifted(-delay)
    key = identifiers(_named_by(labels))
    connection.execute(f"CREATE TEMP TABLE predicted AS {_predictions(predictions, labels, made)}")
    connection.execute(
        "CREATE TEMP TABLE joined AS SELECT p.*, l.label, l.found FROM predicted p "
        f"LEFT JOIN ({_latest(labels, window.end)}) l USING ({key})"
    )
    connection.execute(
        "COPY (SELECT * EXCLUDE (found) FROM joined WHERE label IS NOT NULL "
        f"ORDER BY event_time, {identifiers(labels.key)}) TO {literal(str(out))} (FORMAT parquet)"
    )
    return _count(connection)


def count_labels(connection: Connection, labels: Labels, window: Window) -> int:
    """Count the labelled rows of a window, each once.

    Raises:
        SpecError: The condition is no condition on the row.
    """
    _refuse_missing_columns(connection, labels)
    time, where = identifier(labels.time), read_condition(connection, labels.where, labels.where_field)
    row = connection.execute(
        f"SELECT count(*) FROM (SELECT DISTINCT {', '.join(_named_by(labels).values())} "
        f"FROM {identifier(labels.table)} "
        f"WHERE {_within(time, window)} AND {identifier(labels.column)} IS NOT NULL AND {where})"
    ).fetchone()
    return int(row[0]) if row else 0


def _named_by(labels: Labels) -> dict[str, str]:
    """Return what names a row: a prediction's columns, and the labels' own as SQL."""
    columns = {name: identifier(name) for name in labels.key}
    return columns | {"event_time": identifier(labels.time)} if labels.own else columns


def _predictions(table: str, labels: Labels, made: Window) -> str:
    keys = identifiers(_named_by(labels))
    columns = identifiers(dict.fromkeys((*labels.key, "event_time")))
    return (
        f"SELECT {columns}, score, version FROM {identifier(table)} "
        f"WHERE {_within('event_time', made)} "
        f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY event_time DESC, run_id DESC) = 1"
    )


def _latest(labels: Labels, as_of: datetime) -> str:
    named, time = _named_by(labels), identifier(labels.time)
    keys = identifiers(named)
    columns = ", ".join(f"{column} AS {identifier(name)}" for name, column in named.items())
    value = f"CAST({identifier(labels.column)} AS DOUBLE)"
    rows = (
        f"SELECT {columns}, CASE WHEN isfinite({value}) THEN {value} END AS label, {time} AS label_known_at "
        f"FROM {identifier(labels.table)} WHERE {time} <= {moment(as_of)}"
    )
    return (
        f"SELECT {keys}, label, true AS found FROM ({rows}) SEMI JOIN predicted USING ({keys}) "
        f"QUALIFY row_number() OVER "
        f"(PARTITION BY {keys} ORDER BY label_known_at DESC, label DESC NULLS LAST) = 1"
    )


def _within(time: str, window: Window) -> str:
    return f"{time} >= {moment(window.start)} AND {time} < {moment(window.end)}"


def _count(connection: Connection) -> LabelJoin:
    rows = connection.execute(
        "SELECT count(*), count(label), count(found) - count(label), count(*) - count(found) FROM joined"
    ).fetchone()
    made, labelled, null, late = (int(each) for each in rows or (0, 0, 0, 0))
    return LabelJoin(made, labelled, null, late, labelled / made if made else None)


def _refuse_missing_columns(connection: Connection, labels: Labels) -> None:
    there = columns_of(connection, identifier(labels.table))
    gone = [each for each in (*labels.key, labels.column, labels.time) if each not in there]
    if gone:
        raise SchemaError(
            f"The label {labels.column!r} is joined by {', '.join(labels.key)}, but its dataset is "
            f"published without {', '.join(gone)}. Publish these columns, or name another "
            "`label.dataset`."
        )
