"""Feast's Redis store with a guard: what is newer stays, and corrections and new features arrive."""

from collections.abc import Callable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView, RepoConfig
from feast.infra.online_stores.helpers import _mmh3
from feast.infra.online_stores.redis import (
    RedisClient,
    RedisOnlineStore,
    RedisOnlineStoreConfig,
    RedisType,
    _versioned_fv_name,
)
from pydantic import StrictStr, model_validator

from keepfit.backends.feature_store.online.encoding import joined, seconds_and_nanos, with_lengths
from keepfit.backends.feature_store.online.guard import GUARD, LOOSEN, REMOVE, SWEEP
from keepfit.backends.feature_store.online.guarded import GuardedOnlineStore
from keepfit.backends.feature_store.online.redis_fields import fetch
from keepfit.backends.feature_store.online.redis_keys import ENTITIES_A_CALL, keys_of
from keepfit.backends.feature_store.online.rows import NEVER, Message, OnlineRows, rows_of_messages

CALLS_A_TRIP = 20
WORTH_A_SCRIPT = 5
"""From so many commands on a script's one answer is cheaper than the answers of all commands."""

Call = tuple[list[bytes], list[Any]]
"""The script's keys and arguments."""


class GuardedRedisOnlineStoreConfig(RedisOnlineStoreConfig):  # type: ignore[misc]  # feast ships no types
    """What `online_store:` may say: a `connection_string` and so on, as for Feast's own."""

    type: StrictStr = "keepfit.backends.feature_store.online.redis.GuardedRedisOnlineStore"

    @model_validator(mode="after")
    def _guardable(self) -> "GuardedRedisOnlineStoreConfig":
        if self.skip_dedup:
            raise ValueError("`skip_dedup` writes without looking, which is what this store is against")
        if self.redis_type == RedisType.redis_cluster:
            raise ValueError("the guard is a script over many keys, which a Redis cluster refuses")
        return self


class GuardedRedisOnlineStore(GuardedOnlineStore, RedisOnlineStore):  # type: ignore[misc]
    """An entity's row gives way only to one with a later event, or with the same and created no earlier.

    Feast reads it as its own. The comparison and the write are one step on the server, so that concurrent
    writers lose nothing. When a row was created is kept in a field of its own, where a view says it.
    """

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Message],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write what Feast made into messages, without blocking."""
        client = await self._get_client_async(config.online_store)
        for rows in rows_of_messages(data, config.entity_key_serialization_version):
            for keys, arguments in _calls(config, table, rows):
                await client.eval(GUARD, len(keys), *keys, *arguments)
        if progress:
            progress(len(data))

    def write(self, config: RepoConfig, view: FeatureView, rows: OnlineRows) -> None:
        """Write rows, each whole or not at all; if it is cut short, write them again."""
        client = self._get_client(config.online_store)
        guard = client.register_script(GUARD)
        calls = _calls(config, view, rows)
        while trip := list(islice(calls, CALLS_A_TRIP)):
            with client.pipeline(transaction=False) as pipe:
                for keys, arguments in trip:
                    guard(keys, arguments, client=pipe)
                pipe.execute()

    def _read_hash_fields(
        self, config: RepoConfig, commands: list[tuple[bytes, list[str | bytes]]]
    ) -> list[list[bytes]]:
        """Read what Feast asks for, view by view, in one answer instead of one for each value."""
        if len(commands) < WORTH_A_SCRIPT or config.online_store.client == RedisClient.glide:
            found: list[list[bytes]] = super()._read_hash_fields(config, commands)
            return found
        views = [
            (fields, [key for key, _ in of_view]) for fields, of_view in groupby(commands, itemgetter(1))
        ]
        answers = fetch(self._get_client(config.online_store), [(keys, fields) for fields, keys in views])
        return [list(row) for columns in answers for row in zip(*columns, strict=True)]

    def loosen(self, config: RepoConfig, view: FeatureView) -> None:
        """Mark a view's rows."""
        name = _versioned_fv_name(view, config)
        self._on_all(config, view, LOOSEN, [f"_ts:{name}", f"_loose:{name}"])

    def sweep(self, config: RepoConfig, view: FeatureView) -> None:
        """Delete a view's fields where the mark is left."""
        self._on_all(config, view, SWEEP, _fields(config, view))

    def delete_table(self, config: RepoConfig, table: FeatureView) -> None:
        """Delete a view's fields; Feast's own takes those of projects whose names end alike with them."""
        loose, event, *others = _fields(config, table)
        self._on_all(config, table, REMOVE, [event, loose, *others])

    def delete_entity_values(self, config: RepoConfig, join_keys: list[str]) -> None:
        """Delete a project's entities, and no other's."""
        client = self._get_client(config.online_store)
        for keys in keys_of(client, config.project, join_keys):
            client.delete(*keys)

    def _on_all(self, config: RepoConfig, view: FeatureView, text: str, arguments: list[Any]) -> None:
        """Run a script on all of a view's entities that have a field, its first argument."""
        client = self._get_client(config.online_store)
        script = client.register_script(text)
        for keys in keys_of(client, config.project, view.join_keys):
            with client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.hexists(key, arguments[0])
                there = [key for key, is_there in zip(keys, pipe.execute(), strict=True) if is_there]
            if there:
                script(there, arguments)


def _fields(config: RepoConfig, view: FeatureView) -> list[Any]:
    """Name what is stored of a view: the mark, the event's time, the creation's, and the values."""
    name = _versioned_fv_name(view, config)
    values = (_mmh3(f"{name}:{feature.name}") for feature in view.features)
    return [f"_loose:{name}", f"_ts:{name}", f"_created:{name}", *values]


def _calls(config: RepoConfig, view: FeatureView, rows: OnlineRows) -> Iterator[Call]:
    """Cut rows into calls of the script, each with its rows' values in one text of bytes."""
    name = _versioned_fv_name(view, config)
    created = view.batch_source.created_timestamp_column
    fixed = [
        config.online_store.key_ttl_seconds or 0,
        f"_ts:{name}",
        f"_created:{name}" if created else "",
        *(_mmh3(f"{name}:{feature}") for feature in rows.values),
    ]
    keys = joined([rows.keys, pa.scalar(config.project.encode(), pa.binary())]).to_pylist()
    packed = joined([with_lengths(column) for column in _columns(rows)])
    for start in range(0, len(rows), ENTITIES_A_CALL):
        part = packed.slice(start, ENTITIES_A_CALL)
        yield keys[start : start + ENTITIES_A_CALL], [_bytes(part), *fixed]


def _columns(rows: OnlineRows) -> list[pa.Array]:
    known = pa.array(rows.created, mask=np.equal(rows.created, NEVER))
    created = pc.fill_null(pc.cast(pc.cast(known, pa.string()), pa.binary()), b"")
    return [seconds_and_nanos(rows.event), created, *rows.values.values()]


def _bytes(column: pa.Array) -> bytes:
    """Return a binary column's bytes, one value after the other."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[[column.offset, column.offset + len(column)]]
    return bytes(memoryview(data)[int(ends[0]) : int(ends[1])])
