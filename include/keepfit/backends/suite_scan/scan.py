"""Run checks: one SELECT for all of them, then a few examples of the rows that fail."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepfit.backends.engine import Connection, identifier, identifiers
from keepfit.backends.suite_scan.check import Check, Verdict
from keepfit.backends.suite_scan.compile import columns_named
from keepfit.backends.suite_scan.rows import ROWS
from keepfit.backends.wording import EXAMPLES

_LOOKED_AT = 20
"""How many failing rows are read for examples."""


@dataclass(frozen=True)
class Found:
    """What the scan says of a check."""

    check: Check
    verdict: Verdict
    examples: tuple[str, ...] = ()
    """Some of the values that fail."""
    keys: tuple[str, ...] = ()
    """The keys of some of the rows that fail."""


@dataclass(frozen=True)
class Scanned:
    """What one scan tells; nothing of a check that it leaves to Great Expectations."""

    found: tuple[Found, ...]
    rows: int
    missing: Mapping[str, int]
    """How many values are missing, by column."""


def run_checks(
    connection: Connection, checks: Sequence[Check], columns: Iterable[str], key: Sequence[str]
) -> Scanned:
    """Look at the view of the rows, once.

    Args:
        connection: Where the view is.
        checks: What to look for.
        columns: Those whose missing values are counted.
        key: The columns by which a failing row is told.
    """
    there = {name: f"count({identifier(name)})" for name in columns}
    needed = ["count(*)", *there.values(), *(each for check in checks for each in check.needs)]
    values = _values(connection, list(dict.fromkeys(needed)))
    rows = int(values["count(*)"])
    missing = {name: rows - int(values[count]) for name, count in there.items()}
    judged = ((check, check.judge([values[each] for each in check.needs])) for check in checks)
    found = (_found(connection, check, verdict, key) for check, verdict in judged if verdict is not None)
    return Scanned(tuple(found), rows, missing)


def _found(connection: Connection, check: Check, verdict: Verdict, key: Sequence[str]) -> Found:
    if verdict.met or not verdict.count or check.fails is None:
        return Found(check, verdict)
    return Found(check, verdict, *_failing(connection, check, key))


def _values(connection: Connection, expressions: Sequence[str]) -> dict[str, Any]:
    row = connection.execute(f"SELECT {', '.join(expressions)} FROM {ROWS}").fetchone() or ()
    return dict(zip(expressions, row, strict=True))


def _failing(
    connection: Connection, check: Check, key: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return examples of the values that fail, and of the keys."""
    columns = columns_named(check.entry)
    needed = list(dict.fromkeys((*columns, *key)))
    # A condition on a window of rows is no WHERE.
    query = f"SELECT {identifiers(needed)} FROM {ROWS} QUALIFY {check.fails} LIMIT {_LOOKED_AT}"
    if " OVER " not in str(check.fails):
        query = query.replace(" QUALIFY ", " WHERE ", 1)
    rows = [dict(zip(needed, row, strict=True)) for row in _as_text(connection, query, needed)]
    values = (_told(row, columns) for row in rows)
    keys = (_told(row, key) for row in rows)
    return _first(values), _first(keys) if key else ()


def _as_text(connection: Connection, query: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    # As text, since the engine's Python binding needs a further package to hand over times.
    shown = ", ".join(f"{identifier(name)}::VARCHAR" for name in columns)
    return connection.execute(f"SELECT {shown} FROM ({query})").fetchall()


def _told(row: dict[str, str | None], columns: Sequence[str]) -> str | None:
    if len(columns) == 1:
        return row[columns[0]]
    return str({name: row[name] for name in columns})


def _first(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value is not None))[:EXAMPLES]
