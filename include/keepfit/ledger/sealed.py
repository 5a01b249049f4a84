"""Holds the rows of a table against the links that sealed them."""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, Table, select
from sqlalchemy.exc import OperationalError

from keepfit.ledger.chain import KEYS, canonical, key_of, seal
from keepfit.ledger.tables import metadata

PIECE = 10_000


class Seal(NamedTuple):
    """What a link says of its row, or of the rows that were inserted together."""

    position: int
    key: str
    sealed: str


def check_rows(connection: Connection, table: str, seals: Sequence[Seal]) -> Iterator[str]:
    """Check a table that has a link for each row."""
    left: dict[str, Seal] = {}
    for each in seals:
        if each.key in left:
            yield _removed(table, left[each.key])
        left[each.key] = each
    try:
        for row in _stream(connection, metadata.tables[table], KEYS[table]):
            key = key_of(table, row)
            by = left.pop(key, None)
            if by is None:
                yield f"{table}, row {key}: put in by hand, no link seals it."
            elif by.sealed != seal(metadata.tables[table], [row]):
                yield f"{table}, row {key}: changed since link {by.position} sealed it."
    except (ValueError, TypeError, OperationalError) as error:
        yield _unreadable(table, error)
        return
    yield from (_removed(table, each) for each in left.values())


def check_batches(connection: Connection, table: str, seals: Sequence[Seal]) -> Iterator[str]:
    """Check a table that has a link for all rows that were inserted together."""
    spans = sorted((*_ids(each.key), each) for each in seals)
    starts = [first for first, _, _ in spans]
    found = [hashlib.sha256() for _ in spans]
    try:
        for row in _stream(connection, metadata.tables[table], ("id",)):
            number = bisect_right(starts, row["id"]) - 1
            if number < 0 or row["id"] > spans[number][1]:
                yield f"{table}, row {row['id']}: put in by hand, no link seals it."
            else:
                found[number].update(canonical(metadata.tables[table], row).encode() + b"\n")
    except (ValueError, TypeError, OperationalError) as error:
        yield _unreadable(table, error)
        return
    for (first, last, by), digest in zip(spans, found, strict=True):
        if digest.hexdigest() != by.sealed:
            yield (
                f"{table}, rows {first} to {last}, which link {by.position} sealed together: "
                "one was changed, removed or put in."
            )


def _stream(connection: Connection, table: Table, order: Sequence[str]) -> Iterator[RowMapping]:
    wanted = select(table).order_by(*(table.c[name] for name in order))
    yield from connection.execute(wanted, execution_options={"yield_per": PIECE}).mappings()


def _ids(key: str) -> tuple[int, int]:
    """Read the first id and the last; of a link that was made unreadable, which is told of itself, none."""
    try:
        first, last = json.loads(key)
        return int(first), int(last)
    except (ValueError, TypeError):
        return 0, -1


def _removed(table: str, by: Seal) -> str:
    return f"{table}, row {by.key}: removed, though link {by.position} seals it."


def _unreadable(table: str, error: Exception) -> str:
    if isinstance(error, OperationalError):
        # Of a text that is none SQLite's driver tells in this way only.
        if "decode" not in str(error.orig):
            raise error
        error = ValueError(str(error.orig).partition(" with text")[0])
    return f"{table}: a row holds what its column cannot, so no row after it could be checked ({error})."
