"""Feast's Redis store with a guard: what is newer stays, and corrections and new features arrive."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView, RepoConfig
from feast.infra.online_stores.helpers import _mmh3
from feast.infra.online_stores.redis import (
    RedisOnlineStore,
    RedisOnlineStoreConfig,
    RedisType,
    _versioned_fv_name,
)
from pydantic import StrictStr, model_validator

from keepfit.backends.feature_store.online.encoding import joined, seconds_and_nanos, with_lengths
from keepfit.backends.feature_store.online.guard import GUARD
from keepfit.backends.feature_store.online.guarded import GuardedOnlineStore
from keepfit.backends.feature_store.online.rows import NEVER, Message, OnlineRows, rows_of_messages

ENTITIES_A_CALL = 250
"""A script holds up all other clients while it runs; this many entities take about a millisecond."""
CALLS_A_TRIP = 20

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
