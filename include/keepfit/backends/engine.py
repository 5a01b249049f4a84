"""The SQL engine: DuckDB with bounds. The only door to duckdb."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb

from keepfit.spec.project import EngineSpec

Connection = duckdb.DuckDBPyConnection
EngineError = duckdb.Error


@contextmanager
def engine(spec: EngineSpec, scratch: Path) -> Iterator[Connection]:
    """Lend a connection to an empty database in memory that spills into `scratch`.

    Times without a zone are UTC. Nothing is downloaded and no Python variable is visible in SQL.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    bounds: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": spec.memory_limit,
        "threads": spec.threads,
        "temp_directory": str(scratch / "spill"),
        "autoinstall_known_extensions": False,
        "python_enable_replacements": False,
    }
    with duckdb.connect(":memory:", config=bounds) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@contextmanager
def reading(connection: Connection, system: Any) -> Iterator[None]:
    """Let a connection read from a file system, or from this machine only when there is none."""
    if system is not None:
        connection.register_filesystem(system)
    try:
        yield
    finally:
        for name in connection.list_filesystems() if system is not None else ():
            connection.unregister_filesystem(name)


def seal(connection: Connection, paths: Iterable[Path | str]) -> None:
    """Leave a connection access to some files only, for good: what follows is a user's SQL."""
    allowed = ", ".join(literal(str(path)) for path in paths)
    connection.execute(f"SET allowed_paths = [{allowed}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def columns_of(connection: Connection, relation: str) -> dict[str, str]:
    """Return the columns of a table, view or table function with their DuckDB types."""
    rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    return {name: kind for name, kind, *_ in rows}


def scan(files: Sequence[Path | str], format_: Literal["parquet", "csv"] = "parquet") -> str:
    """Write the table function that reads files as one table, columns matched by name.

    Without `union_by_name`, a file's column takes the first file's type, and 5.7 silently becomes 6.
    """
    listed = ", ".join(literal(str(file)) for file in files)
    if format_ == "parquet":
        return f"read_parquet([{listed}], union_by_name = true)"
    # Left to the engine, the quoting is guessed from the first lines, and a quote further down is data.
    return (
        f"read_csv([{listed}], union_by_name = true, header = true, all_varchar = true, "
        "quote = '\"', escape = '\"', nullstr = ['', 'NA'], sample_size = 2048)"
    )


def identifier(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def identifiers(names: Iterable[str]) -> str:
    """Quote identifiers, with commas between them."""
    return ", ".join(identifier(name) for name in names)


def literal(value: str) -> str:
    """Quote a text."""
    return "'" + value.replace("'", "''") + "'"


def moment(value: datetime, *, zoned: bool = True) -> str:
    """Write a point in time, which must have a zone, for a column with or without one."""
    utc = value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
    return f"TIMESTAMPTZ '{utc}+00'" if zoned else f"TIMESTAMP '{utc}'"


def first_line(error: EngineError) -> str:
    """Return what an error says, without its picture of the SQL."""
    return str(error).strip().splitlines()[0]


def count(connection: Connection, relation: str) -> int:
    """Count the rows of a table, view or query in brackets."""
    row = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    return int(row[0]) if row else 0


def threads_of(connection: Connection) -> int:
    """Return how many threads a connection may use."""
    row = connection.execute("SELECT current_setting('threads')").fetchone()
    return int(row[0]) if row else 1
