"""What all parts of the ledger share: a database, where records are appended, sealed, and read back."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Table, select

from keepfit.ledger.chain import append
from keepfit.ledger.engine import connect_to, parse_url, transaction

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)
else:
    Record = TypeVar("Record")


class Store:
    """A migrated database. Cheap to make; forks may share it."""

    def __init__(self, url: str) -> None:
        """Refer to the database; nothing is opened yet."""
        self._engine = connect_to(parse_url(url))

    def _append(self, table: Table, record: "DataclassInstance", **more: int) -> bool:
        """Insert a record and seal it; tell whether it was not there yet."""
        with transaction(self._engine, alone=True) as connection:
            return append(connection, table, {**row_of(record), **more}) is not None

    def _read(
        self, record: type[Record], table: Table, where: ColumnElement[bool], by: Column[Any]
    ) -> list[Record]:
        with transaction(self._engine) as connection:
            return records(connection, record, table, where, by)


def records(
    connection: Connection, record: type[Record], table: Table, where: ColumnElement[bool], by: Column[Any]
) -> list[Record]:
    """Read rows as records, in order."""
    columns = [table.c[field.name] for field in fields(record)]
    rows = connection.execute(select(*columns).where(where).order_by(by)).mappings()
    return [record(**row) for row in rows]


def row_of(record: "DataclassInstance") -> Mapping[str, Any]:
    """Return a record's values by the columns' names."""
    return asdict(record)
