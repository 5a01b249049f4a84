"""Reads a Redis online store in one trip."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from feast import RepoConfig
from feast.infra.online_stores.helpers import _mmh3
from feast.infra.online_stores.redis import RedisOnlineStore, _versioned_fv_name
from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from keepfit.backends.feature_store.online.reading import Asked, Key, Reading, Stored
from keepfit.backends.feature_store.online.redis_fields import Columns, fetch


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
        groups = [
            (
                [key + self._project for key in dict.fromkeys(same) if key is not None],
                [field for place in at for field in self._fields[place]],
            )
            for same, at in views.items()
        ]
        stored: dict[int, Stored] = {}
        for (same, at), columns in zip(views.items(), fetch(self._client, groups), strict=True):
            stored |= zip(at, self._cut(_spread(columns, same), at), strict=True)
        return [stored[place] for place in range(len(keys))]

    def close(self) -> None:
        """Leave the connections to the store."""

    def _cut(self, columns: Columns, at: Sequence[int]) -> Iterator[Stored]:
        """Give each view its columns, the first of which is its event time."""
        start = 0
        for place in at:
            end = start + len(self._fields[place])
            yield Stored(columns[start + 1 : end], [_moment(each) for each in columns[start]])
            start = end


def _fields(view: str, features: Sequence[str]) -> list[str | bytes]:
    return [f"_ts:{view}", *(_mmh3(f"{view}:{feature}") for feature in features)]


def _spread(columns: Columns, keys: Sequence[Key]) -> Columns:
    """Give each key its row, be it asked for twice or none."""
    wanted = [key for key in dict.fromkeys(keys) if key is not None]
    if len(wanted) == len(keys):
        return columns
    where = {key: row for row, key in enumerate(wanted)}
    rows = [None if key is None else where[key] for key in keys]
    return [[b"" if row is None else column[row] for row in rows] for column in columns]


def _moment(stored: bytes) -> datetime | None:
    """Read an event's time, a protobuf Timestamp; where there is none, nothing is stored."""
    if not stored:
        return None
    at = Timestamp.FromString(stored)
    return datetime.fromtimestamp(at.seconds, UTC).replace(microsecond=at.nanos // 1000)
