"""A table or query of any SQL database, read as a stream. Registered as the source `sql`."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from keepfit.backends.engine import columns_of, engine
from keepfit.backends.sources.conform import conforming, declared, explained, refuse_missing
from keepfit.errors import SourceError
from keepfit.plugins import SourceRequest
from keepfit.spec.database_url import url_problem
from keepfit.spec.dataset import DatasetSpec, SqlSource
from keepfit.spec.window import Window

_BATCH = 50_000
_ENVIRONMENT = "env:"
_IN_UTC = {"postgresql": "SET TIME ZONE 'UTC'", "mysql": "SET time_zone = '+00:00'"}


def extract_sql(request: SourceRequest) -> None:
    """Write the window's rows of a table or query as Parquet, batch by batch.

    The database filters by the window; columns and types are checked on the way.
    """
    dataset, source = request.dataset, request.dataset.source
    if not isinstance(source, SqlSource):
        raise SourceError(f"Dataset {dataset.name} has no database, but a source of type {source.type!r}.")
    with _connected(source, request) as connection:
        found = _columns(connection, source)
        refuse_missing(dataset, found)
        relation = _relation(source, found)
        time = dataset.taken.get(dataset.source_time)
        statement = sa.select(*(relation.c[column] for column in _wanted(dataset)))
        # A text in a form of its own is no time to the database: all of it is read, and the engine filters.
        if not dataset.snapshot and time and not time.format:
            column = relation.c[dataset.source_columns[dataset.source_time]]
            statement = statement.where(_inside(column, request.window, connection.dialect.name))
        _write(connection.execute(statement), found, request)


def _write(result: sa.CursorResult[Any], found: Sequence[str], request: SourceRequest) -> None:
    dataset, schema = request.dataset, declared(request.dataset, found)
    with engine(request.engine, request.scratch) as sql, pq.ParquetWriter(request.out, schema) as writer:
        for rows in result.partitions(_BATCH):
            sql.register("batch", _batch(_wanted(dataset), rows))
            with explained(dataset):
                select = conforming("batch", columns_of(sql, "batch"), dataset, request.window)
                writer.write_table(sql.execute(select).to_arrow_table().cast(schema))
            sql.unregister("batch")


def _wanted(dataset: DatasetSpec) -> list[str]:
    """Name the source's columns that are taken, once each."""
    return list(dict.fromkeys(dataset.source_columns.values()))


def _batch(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    values = zip(*rows, strict=True)
    return pa.table({column: _array(each) for column, each in zip(columns, values, strict=True)})


def _array(values: Sequence[Any]) -> pa.Array:
    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # A database without strict types may mix them in one column; as text each value can still be judged.
        array = pa.array([None if value is None else str(value) for value in values])
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array


@contextmanager
def _connected(source: SqlSource, request: SourceRequest) -> Iterator[sa.Connection]:
    where = f"Dataset {request.dataset.name}: its database, connection {source.connection!r},"
    database = _database(source.connection, request, where)
    try:
        with database.connect() as connection:
            if statement := _IN_UTC.get(connection.dialect.name):
                connection.execute(sa.text(statement))
                connection.commit()
            yield connection.execution_options(stream_results=True, postgresql_readonly=True)
    except DBAPIError as error:
        raise SourceError(f"{where} says: {str(error.orig).strip().splitlines()[0]}") from error
    finally:
        database.dispose()


def _database(connection: str, request: SourceRequest, where: str) -> sa.Engine:
    url = _url(connection, request)
    if problem := url_problem(url):
        raise SourceError(f"{where} has a URL that cannot be used: it {problem}")
    return sa.create_engine(url)


def _url(connection: str, request: SourceRequest) -> str:
    if not connection.startswith(_ENVIRONMENT):
        return request.access.url(connection)
    variable = connection.removeprefix(_ENVIRONMENT)
    if url := os.environ.get(variable):
        return url
    raise SourceError(
        f"Dataset {request.dataset.name}: the environment variable {variable} is not set. Put a SQLAlchemy "
        f"URL into it, such as postgresql+psycopg2://user:password@host/database."
    )


def _columns(connection: sa.Connection, source: SqlSource) -> list[str]:
    if source.query is None:
        statement: Any = sa.select(sa.text("*")).select_from(_table(source, ())).where(sa.false())
    else:
        statement = sa.text(f"SELECT * FROM ({_query(source)}\n) AS source WHERE 1 = 0")
    return list(connection.execute(statement).keys())


def _relation(source: SqlSource, found: Sequence[str]) -> sa.FromClause:
    if source.query is None:
        return _table(source, found)
    return sa.text(f"{_query(source)}\n").columns(*map(sa.column, found)).subquery("source")


def _table(source: SqlSource, found: Sequence[str]) -> sa.TableClause:
    *schema, name = str(source.table).rsplit(".", 1)
    return sa.table(name, *map(sa.column, found), schema=schema[0] if schema else None)


def _query(source: SqlSource) -> str:
    return str(source.query).strip().rstrip(";")


def _inside(column: sa.ColumnElement[Any], window: Window, dialect: str) -> sa.ColumnElement[bool]:
    """Bind the window as each database compares times; rows without one are kept and counted later."""
    if dialect == "sqlite":
        moment = sa.func.datetime(column)
        return _between(moment, str(_plain(window.start)), str(_plain(window.end)))
    if dialect == "postgresql":
        return _between(column, window.start, window.end)
    return _between(column, _plain(window.start), _plain(window.end))


def _between(column: sa.ColumnElement[Any], start: object, end: object) -> sa.ColumnElement[bool]:
    within = sa.and_(column >= sa.bindparam("window_start", start), column < sa.bindparam("window_end", end))
    return sa.or_(within, column.is_(None))


def _plain(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
