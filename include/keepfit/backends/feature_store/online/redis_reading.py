"""Reads a Redis online store in one trip, by a script that answers with one text for many entities."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha1
from itertools import accumulate, pairwise
from typing import Any

from feast import RepoConfig
from feast.infra.online_stores.helpers import _mmh3
from feast.infra.online_stores.redis import RedisOnlineStore, _versioned_fv_name
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]
from redis.exceptions import NoScriptError

from keepfit.backends.feature_store.online.reading import Asked, Key, Reading, Stored

ENTITIES_A_CALL = 250
"""A script holds up all other clients while it runs."""

READ = """
-- KEYS: entities. ARGV: fields. Returns the lengths of all values, and the values one after the other.
local lengths, values, place = {}, {}, 0
for _, key in ipairs(KEYS) do
  local found = redis.call('HMGET', key, unpack(ARGV))
  for field = 1, #ARGV do
    place = place + 1
    values[place] = found[field] or ''
    lengths[place] = #values[place]
  end
end
return {table.concat(lengths, ' '), table.concat(values)}
"""
_DIGEST = sha1(READ.encode(), usedforsecurity=False).hexdigest()

Columns = list[list[bytes]]


class RedisReading(Reading):
    """Reads by the store's own pool of connections; views of the same entities share a call."""

    def __init__(self, config: RepoConfig, store: RedisOnlineStore, asked: Sequence[Asked]) -> None:
        """Prepare the names of the fields."""
        self._client = store._get_client(config.online_store)
        self._project = config.project.encode()
        self._fields = [_fields(_versioned_fv_name(each.view, config), each.features) for each in asked]

    def read(self, keys: Sequence[Sequence[Key]]) -> list[Stored]:
        """Return what is stored of each view's keys."""
        views: dict[tuple[Key, ...], list[int]] = {}
        for place, of_view in enumerate(keys):
            views.setdefault(tuple(of_view), []).append(place)
        answers = iter(self._run([call for same, at in views.items() for call in self._calls(same, at)]))
        found: dict[int, Stored] = {}
        for same, at in views.items():
            found |= self._stored(same, at, answers)
        return [found[place] for place in range(len(keys))]

    def close(self) -> None:
        """Leave the connections to the store."""

    def _calls(self, keys: Sequence[Key], at: Sequence[int]) -> Iterator[list[Any]]:
        fields = [field for place in at for field in self._fields[place]]
        wanted = [key + self._project for key in dict.fromkeys(keys) if key is not None]
        for start in range(0, len(wanted), ENTITIES_A_CALL):
            part = wanted[start : start + ENTITIES_A_CALL]
            yield [len(part), *part, *fields]

    def _run(self, calls: list[list[Any]]) -> list[tuple[bytes, bytes]]:
        try:
            return self._sent(calls)
        except NoScriptError:
            self._client.script_load(READ)
            return self._sent(calls)

    def _sent(self, calls: list[list[Any]]) -> list[tuple[bytes, bytes]]:
        if len(calls) == 1:
            return [self._client.evalsha(_DIGEST, *calls[0])]
        with self._client.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.evalsha(_DIGEST, *call)
            answers: list[tuple[bytes, bytes]] = pipe.execute()
        return answers

    def _stored(
        self, keys: Sequence[Key], at: Sequence[int], answers: Iterator[tuple[bytes, bytes]]
    ) -> Mapping[int, Stored]:
        width = sum(len(self._fields[place]) for place in at)
        wanted = [key for key in dict.fromkeys(keys) if key is not None]
        columns: Columns = [[] for _ in range(width)]
        for _ in range(0, len(wanted), ENTITIES_A_CALL):
            for column, more in zip(columns, _cut(*next(answers), width), strict=True):
                column.extend(more)
        if wanted != list(keys):
            where = {key: row for row, key in enumerate(wanted)}
            rows = [where.get(key) if key is not None else None for key in keys]
            columns = [[b"" if row is None else column[row] for row in rows] for column in columns]
        found, start = {}, 0
        for place in at:
            end = start + len(self._fields[place])
            found[place] = Stored(columns[start + 1 : end], [_moment(each) for each in columns[start]])
            start = end
        return found


def _fields(view: str, features: Sequence[str]) -> list[str | bytes]:
    return [f"_ts:{view}", *(_mmh3(f"{view}:{feature}") for feature in features)]


def _cut(lengths: bytes, values: bytes, width: int) -> Columns:
    ends = list(accumulate(map(int, lengths.split()), initial=0))
    cut = [values[start:end] for start, end in pairwise(ends)]
    return [cut[column::width] for column in range(width)]


def _moment(stored: bytes) -> datetime | None:
    """Read an event's time, a protobuf Timestamp; where there is none, nothing is stored."""
    if not stored:
        return None
    at = Timestamp.FromString(stored)
    return datetime.fromtimestamp(at.seconds, UTC).replace(microsecond=at.nanos // 1000)
