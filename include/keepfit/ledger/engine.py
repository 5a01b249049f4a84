"""Connections to the ledger's database: opened per use, with errors that say what to do."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from keepfit.errors import LedgerError
from keepfit.spec.database_url import url_problem

BUSY_MS = 120_000
"""How long others are waited for: rulings on a million rows are one transaction."""
_ALONE = "keepfit_alone"
_LOCK = 0x6C65646765
"""The key of PostgreSQL's advisory lock of all who append: "ledge" in ASCII."""


def parse_url(url: str) -> URL:
    """Read the ledger's URL, which must be a SQLite file's or a PostgreSQL database's."""
    backend, is_url, _ = url.partition("://")
    if is_url and backend.partition("+")[0] not in ("sqlite", "postgresql"):
        raise LedgerError(f"The ledger lives in SQLite or PostgreSQL, not in {backend.partition('+')[0]!r}.")
    if problem := url_problem(url):
        raise LedgerError(f"The ledger's URL, KEEPFIT_LEDGER_URL, {problem}")
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not parsed.database:
        raise LedgerError(
            "The ledger's URL names no file: a ledger in memory would forget. Write sqlite:////a/file.db."
        )
    return parsed


def connect_to(url: URL) -> Engine:
    """Build an engine that opens a connection per use, so that a forked process shares none."""
    if url.get_backend_name() == "postgresql":
        # "Insert, else read the first" needs to see what was committed while the insert waited.
        return create_engine(
            url, poolclass=NullPool, isolation_level="READ COMMITTED", json_serializer=to_json
        )
    engine = create_engine(url, poolclass=NullPool, json_serializer=to_json)

    @event.listens_for(engine, "connect")
    def _wait_when_busy(connection: Any, _record: object) -> None:
        # Left to itself, Python's sqlite3 begins none before a SELECT or DDL.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        alone = connection.get_execution_options().get(_ALONE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if alone else "BEGIN")

    return engine


def to_json(value: Any) -> str:
    """Write JSON that every database takes: a number that is none (NaN, infinite) becomes null."""
    return json.dumps(_finite(value), default=str, sort_keys=True, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def transaction(engine: Engine, *, alone: bool = False, steady: bool = False) -> Iterator[Connection]:
    """Lend a connection in a transaction.

    Args:
        engine: The ledger's.
        alone: Keep out all others who append, until the block ends or its process dies.
        steady: See the ledger as it is at the first look, whatever others append meanwhile.

    Raises:
        LedgerError: The database is missing, does not answer, or has another layout.
    """
    where = engine.url.render_as_string(hide_password=True)
    is_file = engine.url.get_backend_name() == "sqlite"
    if is_file and not Path(engine.url.database or "").exists():
        raise LedgerError(
            f"There is no ledger at {where}. If it was moved, move it back or point "
            "KEEPFIT_LEDGER_URL at it; to begin a new one, run `keepfit up`."
        )
    # A transaction of SQLite is steady by itself.
    options = {"isolation_level": "REPEATABLE READ"} if steady and not is_file else {}
    try:
        with engine.execution_options(**{_ALONE: alone}, **options).begin() as connection:
            if alone and not is_file:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {BUSY_MS}")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            yield connection
    except DBAPIError as error:
        raise LedgerError(f"The ledger at {where} {_explain(error)}") from error


def _explain(error: DBAPIError) -> str:
    text = str(error.orig).strip().splitlines()[0]
    if "no such table" in text or "no such column" in text or isinstance(error, ProgrammingError):
        return f"has no tables of this version ({text}). `keepfit up` makes them."
    if isinstance(error, OperationalError):
        return (
            f"does not answer ({text}). See whether its database runs (`keepfit status`) "
            "and whether KEEPFIT_LEDGER_URL names it."
        )
    return f"refused: {text}"
