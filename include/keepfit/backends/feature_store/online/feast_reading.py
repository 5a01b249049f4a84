"""Reads any online store, the way Feast does."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from feast import RepoConfig
from feast.infra.key_encoding_utils import deserialize_entity_key
from feast.infra.online_stores.online_store import OnlineStore

from keepfit.backends.feature_store.online.keys import VERSION
from keepfit.backends.feature_store.online.reading import Asked, Key, Reading, Stored

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = tuple[datetime | None, dict[str, Any] | None]


class FeastReading(Reading):
    """Reads one view after the other through Feast's own store."""

    def __init__(self, config: RepoConfig, store: OnlineStore, asked: Sequence[Asked]) -> None:
        """Keep what to read."""
        self._config = config
        self._store = store
        self._asked = asked

    def read(self, keys: Sequence[Sequence[Key]]) -> list[Stored]:
        """Return what is stored of each view's keys."""
        return [self._of(asked, of_view) for asked, of_view in zip(self._asked, keys, strict=True)]

    def close(self) -> None:
        """Leave the connections to the store."""

    def _of(self, asked: Asked, keys: Sequence[Key]) -> Stored:
        wanted = list(dict.fromkeys(key for key in keys if key is not None))
        entities = [deserialize_entity_key(key, VERSION) for key in wanted]
        answer = self._store.online_read(self._config, asked.view, entities, list(asked.features))
        found: dict[Key, Row] = dict(zip(wanted, answer, strict=True)) if wanted else {}
        rows = [found.get(key, (None, None)) for key in keys]
        return Stored(
            columns=[[_bytes(values, name) for _, values in rows] for name in asked.features],
            moments=[None if values is None else _known(moment) for moment, values in rows],
        )


def _bytes(values: dict[str, Any] | None, name: str) -> bytes | None:
    value = (values or {}).get(name)
    return None if value is None else bytes(value.SerializeToString())


def _known(moment: datetime | None) -> datetime | None:
    """Take the start of 1970, which some stores give for an entity that they do not have, for no moment."""
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None if aware == _EPOCH else aware
