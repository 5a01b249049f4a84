"""Seals the rows that were in a ledger before it had a chain."""

from collections.abc import Iterator, Mapping
from itertools import islice

import sqlalchemy as sa

from keepfit.ledger.chain import GENESIS, digest_of, key_of, seal, span_of

SINGLE: Mapping[str, tuple[str, ...]] = {
    "publications": ("id",),
    "decisions": ("key",),
    "trainings": ("model", "run_id", "failed"),
    "deployments": ("model", "alias", "position"),
    "approvals": ("id",),
    "edits": ("position",),
    "feature_checks": ("id",),
}
TOGETHER = "rulings"
_PIECE = 10_000


def keep_writers_out(connection: sa.Connection) -> None:
    """Let nobody of an older version append a row that would have no link."""
    if connection.dialect.name == "postgresql":
        for name in (*SINGLE, TOGETHER):
            connection.exec_driver_sql(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")


def back_fill(connection: sa.Connection) -> None:
    """Give each row a link, as if all had been appended now, table by table."""
    # As they are now: what a later version adds to them is not there yet.
    found = sa.MetaData()
    links = sa.Table("links", found, autoload_with=connection)
    before = GENESIS
    for position, (table, key, sealed) in enumerate(_seals(connection, found)):
        digest = digest_of(before, position, table, key, sealed)
        values = {"position": position, "table": table, "key": key, "sealed": sealed, "digest": digest}
        connection.execute(links.insert().values(values))
        before = digest


def _seals(connection: sa.Connection, found: sa.MetaData) -> Iterator[tuple[str, str, str]]:
    for name, order in SINGLE.items():
        table = sa.Table(name, found, autoload_with=connection)
        for row in _rows(connection, table, order):
            yield name, key_of(name, row), seal(table, [row])
    table = sa.Table(TOGETHER, found, autoload_with=connection)
    for rows in _pieces(_rows(connection, table, ("id",))):
        yield TOGETHER, span_of(rows[0]["id"], rows[-1]["id"]), seal(table, rows)


def _rows(connection: sa.Connection, table: sa.Table, order: tuple[str, ...]) -> Iterator[sa.RowMapping]:
    wanted = sa.select(table).order_by(*(table.c[name] for name in order))
    yield from connection.execute(wanted, execution_options={"yield_per": _PIECE}).mappings()


def _pieces(rows: Iterator[sa.RowMapping]) -> Iterator[list[sa.RowMapping]]:
    while piece := list(islice(rows, _PIECE)):
        yield piece
