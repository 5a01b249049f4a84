"""Reads a SQLite online store by connections of its own."""

import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from feast import RepoConfig
from feast.infra.online_stores.sqlite import SqliteOnlineStore, _table_id

from keepfit.backends.feature_store.online.reading import Asked, Key, Reading, Stored
from keepfit.backends.feature_store.online.sqlite import PATIENCE
from keepfit.backends.feature_store.online.sqlite_entities import Entity, entities_of, moment_of


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
                _stored(entities_of(connection, table, filter(None, of_view), features), features, of_view)
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


def _stored(found: dict[bytes, Entity], features: Sequence[str], keys: Sequence[Key]) -> Stored:
    known: dict[str, datetime] = {}
    rows = [found.get(key) if key is not None else None for key in keys]
    for row in rows:
        if row and row[1] not in known:
            known[row[1]] = moment_of(row[1])
    return Stored(
        columns=[[row[0].get(name) if row else None for row in rows] for name in features],
        moments=[known[row[1]] if row else None for row in rows],
    )
