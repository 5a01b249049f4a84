"""Which way an online store is read."""

from collections.abc import Sequence

from feast import RepoConfig
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.online_stores.sqlite import SqliteOnlineStore

from keepfit.backends.feature_store.online.feast_reading import FeastReading
from keepfit.backends.feature_store.online.keys import VERSION
from keepfit.backends.feature_store.online.reading import Asked, Reading
from keepfit.backends.feature_store.online.sqlite_reading import SqliteReading

_REDIS = "feast.infra.online_stores.redis"


def reading_of(config: RepoConfig, store: OnlineStore, asked: Sequence[Asked]) -> Reading:
    """Read SQLite and Redis in few trips, be they guarded or not, and all others as Feast does."""
    if config.entity_key_serialization_version != VERSION:
        return FeastReading(config, store, asked)
    if isinstance(store, SqliteOnlineStore):
        return SqliteReading(config, asked)
    if _is_one_redis(config, store):
        # Not everyone has the client installed.
        from keepfit.backends.feature_store.online.redis_reading import RedisReading

        return RedisReading(config, store, asked)
    return FeastReading(config, store, asked)


def _is_one_redis(config: RepoConfig, store: OnlineStore) -> bool:
    """Tell whether the store is a Redis where a script may read any keys, as in a cluster it may not."""
    if all(kind.__module__ != _REDIS for kind in type(store).__mro__):
        return False
    return bool(config.online_store.redis_type.value != "redis_cluster")
