"""The chain of digests: a row is sealed by a link as it is inserted, and a link by the next one.

A link holds the SHA-256 of its row and that of the link before together with its own contents. So whoever
changes, removes or puts in a row or a link by hand must make all later links anew, and the last digest, the
head, is another then.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Connection, Float, RowMapping, Table, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from keepfit.ledger.tables import links

Values = Mapping[Any, Any]
"""A row, by the names of its columns."""
GENESIS = "0" * 64
"""What stands for the digest before the first link."""
KEYS: Mapping[str, tuple[str, ...]] = {
    "publications": ("id",),
    "decisions": ("key",),
    "trainings": ("model", "run_id", "failed"),
    "deployments": ("model", "alias", "position"),
    "approvals": ("id",),
    "edits": ("position",),
    "feature_checks": ("id",),
    "incidents": ("key",),
    "incident_answers": ("incident_key",),
}
"""What names a row of each table that has a link for each row."""
BATCHED = ("rulings", "outcomes")
"""The tables whose rows, numbered by `id`, have a link for all that were inserted together."""


def append(connection: Connection, table: Table, row: Values) -> RowMapping | None:
    """Insert a row and its link; the connection's transaction must be alone.

    Returns:
        The row as it is stored; None where one of its key is there already.
    """
    made = connection.execute(_insert(connection, table).values(**row).returning(table)).mappings().first()
    if made:
        _link(connection, table.name, key_of(table.name, made), seal(table, [made]))
    return made


def append_together(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Insert rows and one link for those that were not there yet; the transaction must be alone."""
    if not rows:
        return
    inserted = connection.execute(_insert(connection, table).returning(table), rows).mappings()
    if made := sorted(inserted, key=lambda row: row["id"]):
        _link(connection, table.name, span_of(made[0]["id"], made[-1]["id"]), seal(table, made))


def key_of(table: str, row: Values) -> str:
    """Name a row of a table that has a link for each."""
    return json.dumps([row[name] for name in KEYS[table]])


def span_of(first: int, last: int) -> str:
    """Name rows that were inserted together."""
    return json.dumps([first, last])


def seal(table: Table, rows: Iterable[Values]) -> str:
    """Digest rows in their order, the same whichever database they are from."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(canonical(table, row).encode() + b"\n")
    return digest.hexdigest()


def canonical(table: Table, row: Values) -> str:
    """Write a row as JSON; what is null is left out, so that a column added later changes no digest."""
    values = {column.name: _plain(column, row[column.name]) for column in table.columns}
    known = {name: value for name, value in values.items() if value is not None}
    return json.dumps(known, sort_keys=True, separators=(",", ":"))


def _plain(column: Column[Any], value: Any) -> Any:
    if isinstance(value, datetime):
        # A time without a zone is SQLite's, which keeps UTC.
        known = value.astimezone(UTC) if value.tzinfo else value
        return f"{known:%Y-%m-%dT%H:%M:%S.%f}Z"
    if isinstance(column.type, Float) and value is not None:
        return float(value)
    return value


def digest_of(before: str, position: int, table: str, key: str, sealed: str) -> str:
    """Digest a link together with the one before."""
    contents = json.dumps([before, position, table, key, sealed])
    return hashlib.sha256(contents.encode()).hexdigest()


def _link(connection: Connection, table: str, key: str, sealed: str) -> None:
    newest = select(links.c.position, links.c.digest).order_by(links.c.position.desc()).limit(1)
    last = connection.execute(newest).first()
    position, before = (last.position + 1, last.digest) if last else (0, GENESIS)
    digest = digest_of(before, position, table, key, sealed)
    values = {"position": position, "table": table, "key": key, "sealed": sealed, "digest": digest}
    connection.execute(insert(links).values(values))


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    kind = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return kind(table).on_conflict_do_nothing()
