"""Reads a SQLite online store, one statement a view."""

import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from feast import RepoConfig
from feast.infra.online_stores.sqlite import SqliteOnlineStore, _table_id

from keepfit.backends.engine import identifier
from keepfit.backends.feature_store.online.reading import Asked, Key, Reading, Stored
from keepfit.backends.feature_store.online.sqlite import PATIENCE, moment_of

KEYS_A_STATEMENT = 1000

Entity = tuple[dict[str, bytes], Any]
"""Values by feature, and the event time as SQLite has it."""


class SqliteReading(Reading):
    """Reads by connections of its own, one for each thread that reads at the same time."""

    def __init__(self, config: RepoConfig, asked: Sequence[Asked]) -> None:
        """Prepare the statements; the file is opened when first read."""
        file = Path(SqliteOnlineStore._get_db_path(config)).absolute()
        self._uri = f"file:{quote(str(file))}?mode=rw"
        versions = config.registry.enable_online_feature_view_versioning
        self._asked = [(_table_id(config.project, each.view, versions), each.features) for each in asked]
        self._idle: deque[sqlite3.Connection] = deque()

    def read(self, keys: Sequence[Sequence[Key]]) -> list[Stored]:
        """Return what is stored of each view's keys."""
        with self._connection() as connection:
            return [
                _stored(_found(connection, table, of_view), features, of_view)
                for (table, features), of_view in zip(self._asked, keys, strict=True)
            ]

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = sqlite3.connect(
                self._uri, uri=True, check_same_thread=False, timeout=PATIENCE / 1000
            )
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)


def _found(connection: sqlite3.Connection, table: str, keys: Sequence[Key]) -> dict[bytes, Entity]:
    wanted = list({key for key in keys if key is not None})
    found: dict[bytes, Entity] = {}
    for start in range(0, len(wanted), KEYS_A_STATEMENT):
        part = wanted[start : start + KEYS_A_STATEMENT]
        statement = (
            f"SELECT entity_key, feature_name, value, event_ts FROM {identifier(table)} "
            f"WHERE entity_key IN ({','.join('?' * len(part))})"
        )
        for key, feature, value, moment in connection.execute(statement, part):
            entity = found.get(key)
            if entity is None:
                found[key] = ({feature: value}, moment)
            else:
                entity[0][feature] = value
    return found


def _stored(found: dict[bytes, Entity], features: Sequence[str], keys: Sequence[Key]) -> Stored:
    known: dict[Any, datetime] = {}
    rows = [found.get(key) if key is not None else None for key in keys]
    for row in rows:
        if row and row[1] not in known:
            known[row[1]] = moment_of(row[1])
    return Stored(
        columns=[[row[0].get(name) if row else None for row in rows] for name in features],
        moments=[known[row[1]] if row else None for row in rows],
    )
