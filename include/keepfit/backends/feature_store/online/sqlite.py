"""Feast's SQLite store with a guard: what is newer stays, whatever the order of writes."""

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from threading import Lock
from typing import Any

import numpy as np
from feast import Entity, FeatureView, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.sqlite import (
    SqliteOnlineStore,
    SqliteOnlineStoreConfig,
    _table_id,
)
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from pydantic import StrictStr, model_validator

from keepfit.backends.engine import identifier, literal
from keepfit.backends.feature_store.online.encoding import Integers
from keepfit.backends.feature_store.online.guarded import GuardedOnlineStore
from keepfit.backends.feature_store.online.rows import NEVER, OnlineRows
from keepfit.backends.feature_store.online.sqlite_entities import (
    Entity as StoredEntity,
)
from keepfit.backends.feature_store.online.sqlite_entities import (
    entities_of,
    moment_of,
    read_moment,
)
from keepfit.errors import FeatureStoreError

PATIENCE = 60_000
"""Milliseconds that a writer waits for another one."""
_EXACT = ("event_us", "created_us")
"""Feast keeps whole seconds; the guard compares microseconds, in columns of its own."""
_QUARTER = 900
_PER_SECOND = 1_000_000


class GuardedSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):  # type: ignore[misc]  # feast ships no types
    """What `online_store:` may say: a `path`, as for Feast's own."""

    type: StrictStr = "keepfit.backends.feature_store.online.sqlite.GuardedSqliteOnlineStore"

    @model_validator(mode="after")
    def _plain(self) -> "GuardedSqliteOnlineStoreConfig":
        if self.vector_enabled or self.enable_openai_compatible_store:
            raise ValueError("the guarded store keeps no vectors: use `type: sqlite` for them")
        return self


class GuardedSqliteOnlineStore(GuardedOnlineStore, SqliteOnlineStore):  # type: ignore[misc]
    """A value gives way only to one with a later event, or with the same event and created no earlier.

    Feast reads it as its own: the tables have two more columns. Readers are not held up by a writer, and
    writers wait for each other.
    """

    by_key = True

    def __init__(self) -> None:
        """Open nothing yet."""
        super().__init__()
        self._writing = Lock()
        self._prepared: set[str] = set()

    def write(self, config: RepoConfig, view: FeatureView, rows: OnlineRows) -> None:
        """Write rows in one transaction: all of them, or none if it is cut short."""
        table = _table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
        connection = self._get_conn(config)
        with self._writing:
            self._prepare(connection, table)
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                # Neighbours in the index are written one after the other.
                entities = sorted(_bound(rows), key=itemgetter(0))
                connection.executemany(_upsert(table, view, list(rows.values)), entities)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Return what Feast's own returns, of the features that are asked for."""
        name = _table_id(config.project, table, config.registry.enable_online_feature_view_versioning)
        keys = [serialize_entity_key(key, config.entity_key_serialization_version) for key in entity_keys]
        wanted = set(requested_features or (field.name for field in table.features))
        found = entities_of(self._get_conn(config), name, keys, wanted)
        return [_messages(found.get(key)) for key in keys]

    def loosen(self, config: RepoConfig, view: FeatureView) -> None:
        """Make a view's rows older than all others."""
        self._change(config, view, f"UPDATE {{table}} SET event_us = {NEVER}")

    def sweep(self, config: RepoConfig, view: FeatureView) -> None:
        """Delete what is still older than all others."""
        self._change(config, view, f"DELETE FROM {{table}} WHERE event_us = {NEVER}")

    def _change(self, config: RepoConfig, view: FeatureView, statement: str) -> None:
        table = _table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
        connection = self._get_conn(config)
        with self._writing:
            self._prepare(connection, table)
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                connection.execute(statement.format(table=identifier(table)))

    def update(  # noqa: PLR0917 - Feast calls it so
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Create and drop tables, as Feast does."""
        super().update(
            config, tables_to_delete, tables_to_keep, entities_to_delete, entities_to_keep, partial
        )
        self._get_conn(config).commit()
        self._prepared.clear()

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        # For the whole process, and pandas puts one of its own there when it writes to SQLite.
        sqlite3.register_converter("timestamp", lambda stored: read_moment(stored.decode()))
        fresh = self._conn is None
        connection: sqlite3.Connection = super()._get_conn(config)
        if fresh:
            connection.execute(f"PRAGMA busy_timeout = {PATIENCE}")
            connection.execute("PRAGMA journal_mode = WAL")
        return connection

    def _prepare(self, connection: sqlite3.Connection, table: str) -> None:
        """Add the guard's columns to a table that Feast made."""
        if table in self._prepared:
            return
        # Two first writers would both add them.
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            there = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({identifier(table)})")}
            if not there:
                raise FeatureStoreError(f"The online store has no table {table!r}. Run `feast apply` first.")
            for column in (name for name in _EXACT if name not in there):
                connection.execute(f"ALTER TABLE {identifier(table)} ADD COLUMN {column} INTEGER")
            _spare_index(connection, table)
        self._prepared.add(table)


def _spare_index(connection: sqlite3.Connection, table: str) -> None:
    """Put an index of nothing in the place of Feast's on the entity's key.

    The primary key begins with the same column, so that it serves; keeping both takes half as long again.
    Feast makes its own whenever features are applied, unless there is one of that name.
    """
    name = f"{table}_ek"
    found = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?", [name])
    if any("WHERE" in str(text) for (text,) in found):
        return
    connection.execute(f"DROP INDEX IF EXISTS {identifier(name)}")
    nothing = f"{identifier(table)} (entity_key) WHERE feature_name IS NULL"
    connection.execute(f"CREATE INDEX {identifier(name)} ON {nothing}")


def _messages(entity: StoredEntity | None) -> tuple[datetime | None, dict[str, Value] | None]:
    if entity is None:
        return None, None
    values, moment = entity
    return moment_of(moment), {name: Value.FromString(value) for name, value in values.items()}


def _upsert(table: str, view: FeatureView, features: list[str]) -> str:
    """Write the statement for all features of one entity; where a value is newer, it is left alone.

    Feast's own store has written texts for times where pandas had told SQLite to.
    """
    rows = [
        f"(?1, {literal(name)}, ?{6 + 2 * place}, ?{7 + 2 * place}, ?2, ?3, ?4, ?5)"
        for place, name in enumerate(features)
    ]
    columns = ("value", "value_text", "event_ts", "created_ts", *_EXACT)
    # SQLite rounds what lies behind the seconds, up to the next one.
    whole = "strftime('%s', substr(t.event_ts, 1, 19))"
    created = f"coalesce(excluded.created_us, {NEVER}) >= coalesce(t.created_us, {NEVER})"
    return f"""
        INSERT INTO {identifier(table)} AS t (entity_key, feature_name, {", ".join(columns)})
        VALUES {", ".join(rows)}
        ON CONFLICT (entity_key, feature_name) DO UPDATE
        SET {", ".join(f"{column} = excluded.{column}" for column in columns)}
        WHERE CASE
            WHEN t.event_us IS NULL AND typeof(t.event_ts) = 'text'
                THEN excluded.event_us / {_PER_SECOND} >= CAST({whole} AS INTEGER)
            WHEN t.event_us IS NULL THEN excluded.event_ts >= t.event_ts
            WHEN excluded.event_us <> t.event_us THEN excluded.event_us > t.event_us
            ELSE {created if view.batch_source.created_timestamp_column else "true"}
        END
    """


def _bound(rows: OnlineRows) -> Iterator[tuple[Any, ...]]:
    """Give each entity's parameters, in the order in which `_upsert` numbers them."""
    columns: list[Sequence[Any]] = [
        rows.keys.to_pylist(),
        _as_feast_writes(rows.event),
        _as_feast_writes(rows.created),
        rows.event.tolist(),
        [None if micros == NEVER else micros for micros in rows.created.tolist()],
    ]
    for name, values in rows.values.items():
        columns += [values.to_pylist(), rows.texts(name)]
    return zip(*columns, strict=True)


def _as_feast_writes(micros: Integers) -> list[int | None]:
    """Return moments as seconds the way Feast does: UTC, taken for the process's local time, which it undoes.

    Offsets change on the quarter of an hour at most, so they are looked up once for each.
    """
    seconds = micros // _PER_SECOND
    quarters, place = np.unique(seconds // _QUARTER, return_inverse=True)
    starts = [int(quarter) * _QUARTER for quarter in quarters]
    shifts = np.array([0 if start <= NEVER // _PER_SECOND else _shift(start) for start in starts], np.int64)
    shifted: list[int | None] = (seconds + shifts[place]).tolist()
    return [
        None if micro == NEVER else second for micro, second in zip(micros.tolist(), shifted, strict=True)
    ]


def _shift(second: int) -> int:
    naive = datetime.fromtimestamp(second, UTC).replace(tzinfo=None)
    return int(naive.timestamp()) - second
