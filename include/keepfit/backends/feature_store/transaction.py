"""Writes to Feast's registry that come all at once or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from feast import FeatureStore as Feast
from feast.infra.registry.sql import SqlRegistry
from sqlalchemy import Connection

_SWAPPED = ("write_engine", "read_engine", "thread_pool_executor_worker_count")
"""What of a registry reaches its database; threads would share the one connection."""


@contextmanager
def all_at_once(feast: Feast) -> Iterator[None]:
    """Make one transaction of all that is written to the registry meanwhile, and none of it if that fails.

    Feast itself commits object by object, so that whoever is killed in between leaves services that name
    features which are not there. Registries that are not in a database stay as Feast has them.
    """
    registry: Any = feast.registry
    if not isinstance(registry, SqlRegistry):
        yield
        return
    with registry.write_engine.connect() as connection, connection.begin():
        if connection.dialect.name == "sqlite":
            # Python's driver begins none before the first change, and Feast's savepoints would commit.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        own = {name: getattr(registry, name) for name in _SWAPPED}
        vars(registry).update(zip(_SWAPPED, (_One(connection), _One(connection), 0), strict=True))
        try:
            yield
        except BaseException:
            connection.rollback()
            vars(registry).update(own)
            # Feast remembers what it has written, also what is taken back.
            feast.refresh_registry()
            raise
        finally:
            vars(registry).update(own)


class _One:
    """Stands in for an engine: whoever begins a transaction takes part in the one there is."""

    def __init__(self, connection: Connection) -> None:
        """Lend a connection whose transaction has begun."""
        self._connection = connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Lend the connection; what it does is committed with all else."""
        yield self._connection
