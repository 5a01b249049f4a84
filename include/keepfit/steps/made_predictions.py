"""The predictions a model has made, in batches and online, as rows of one shape for the join with labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keepfit.backends.engine import Connection, columns_of, count, identifier, identifiers, moment
from keepfit.spec.window import Window

ANSWERED = ("champion", "challenger", "chosen")
"""Roles whose score was the answer; a shadow's was only noted."""


@dataclass(frozen=True)
class MadePredictions:
    """Tables of the engine's connection."""

    batch: tuple[str, ...]
    """Scored by windows: with key, `event_time`, `score`, `version`, `role` and `run_id`."""
    online: str | None = None
    """The log of what was asked: each row once."""


def made_rows(
    connection: Connection,
    made: MadePredictions,
    kinds: Mapping[str, str],
    within: Window,
    features: Sequence[str] = (),
) -> str:
    """Write the query for the predictions on rows of a window whose key is known, with some of the features.

    Columns: the key in the labels' types, `event_time`, `score`, `version`, `role`; `asked_at`; `made_by`,
    which orders what was asked at once; and `exact`, whether `event_time` is the row's own for sure.
    """
    parts = [_batch(each, kinds, within, features) for each in made.batch]
    if made.online:
        there = columns_of(connection, identifier(made.online))
        if {*kinds, *features} <= there.keys():
            parts.append(_online(made.online, kinds, there, within, features))
    return " UNION ALL BY NAME ".join(parts)


def count_without_key(
    connection: Connection, made: MadePredictions, kinds: Mapping[str, str], within: Window
) -> int:
    """Count the logged rows of a window that no label can name, since a part of their key is not known."""
    if made.online is None:
        return 0
    there = columns_of(connection, identifier(made.online))
    gone = not set(kinds) <= set(there)
    unknown = " OR ".join(f"{identifier(name)} IS NULL" for name in kinds if name in there)
    condition = "true" if gone else unknown
    rows = f"{identifier(made.online)} WHERE {between('event_time', within)} AND ({condition})"
    return count(connection, rows)


def between(time: str, window: Window) -> str:
    """Write the condition that a time lies in a window."""
    return f"{time} >= {moment(window.start)} AND {time} < {moment(window.end)}"


def _batch(table: str, kinds: Mapping[str, str], within: Window, features: Sequence[str]) -> str:
    columns = identifiers(dict.fromkeys((*kinds, "event_time", *features)))
    return (
        f"SELECT {columns}, score, version, role, event_time AS asked_at, run_id AS made_by, true AS exact "
        f"FROM {identifier(table)} WHERE {between('event_time', within)}"
    )


def _online(
    table: str, kinds: Mapping[str, str], there: Mapping[str, str], within: Window, features: Sequence[str]
) -> str:
    typed = [_typed(name, kind, there[name]) for name, kind in kinds.items() if name != "event_time"]
    keys = ", ".join([*typed, *(identifier(name) for name in features if name not in kinds)])
    known = " AND ".join(f"{identifier(name)} IS NOT NULL" for name in kinds)
    return (
        f"SELECT {keys}, event_time, score, version, role, asked_at, false AS exact, "
        "concat_ws('/', request_id, lpad(CAST(request_row AS VARCHAR), 9, '0'), log_id) AS made_by "
        f"FROM {identifier(table)} WHERE {between('event_time', within)} AND {known}"
    )


def _typed(name: str, wanted: str, given: str) -> str:
    """Write a part of the key in its type; one that is also a feature is logged as a float."""
    column = identifier(name)
    if wanted == given:
        return column
    through = f"TRY_CAST({column} AS BIGINT)" if given == "DOUBLE" and wanted == "VARCHAR" else column
    return f"TRY_CAST({through} AS {wanted}) AS {column}"
