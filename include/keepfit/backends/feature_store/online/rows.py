"""Rows on their way into an online store: keys, moments and values, encoded by columns."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import extract_text_and_num

from keepfit.backends.feature_store.declared import as_declared, microseconds
from keepfit.backends.feature_store.online.encoding import Integers, encode, written
from keepfit.backends.feature_store.online.keys import encode_keys

NEVER = int(np.iinfo(np.int64).min)
"""When a row was created, where that is not known: before all others."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Message = tuple[Any, dict[str, Any], datetime, datetime | None]
"""What Feast hands to an online store: an entity key, values by feature, event time, creation time."""


@dataclass(frozen=True)
class OnlineRows:
    """Rows of one feature view, encoded as Feast stores them."""

    keys: pa.Array
    event: Integers
    """Microseconds since 1970."""
    created: Integers
    values: Mapping[str, pa.Array]
    texts: Callable[[str], Sequence[str | None]]
    """The texts that Feast's SQL stores keep beside a feature's values."""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.keys)


def rows_of_table(view: FeatureView, table: pa.RecordBatch) -> OnlineRows:
    """Encode a view's columns; rows without a key or an event time cannot be asked for and are left out."""
    source = view.batch_source
    event, created = (
        source.field_mapping.get(name, name)
        for name in (source.timestamp_field, source.created_timestamp_column)
    )
    needed = [*(field.name for field in view.entity_columns), event]
    known = reduce(pc.and_, (pc.is_valid(table[name]) for name in needed))
    if not pc.all(known).as_py():
        table = table.filter(known)
    typed = {field.name: as_declared(table[field.name], field.dtype, field.name) for field in view.features}
    types = {field.name: field.dtype for field in view.features}
    return OnlineRows(
        keys=encode_keys({field.name: (table[field.name], field.dtype) for field in view.entity_columns}),
        event=microseconds(table[event], NEVER),
        created=microseconds(table[created], NEVER) if created else np.full(len(table), NEVER),
        values={name: encode(values, types[name]) for name, values in typed.items()},
        texts=lambda name: written(typed[name], types[name]),
    )


def rows_of_messages(data: Iterable[Message], version: int) -> Iterator[OnlineRows]:
    """Encode what Feast made into messages already, as a push does."""
    for names, group in groupby(data, key=lambda row: tuple(row[1])):
        rows = list(group)
        yield OnlineRows(
            keys=pa.array([serialize_entity_key(key, version) for key, *_ in rows], pa.binary()),
            event=np.array([_micros(moment) for *_, moment, _ in rows]),
            created=np.array([NEVER if moment is None else _micros(moment) for *_, moment in rows]),
            values={
                name: pa.array([values[name].SerializeToString() for _, values, *_ in rows], pa.binary())
                for name in names
            },
            texts=partial(_message_texts, rows),
        )


def _message_texts(rows: list[Message], name: str) -> list[str | None]:
    return [extract_text_and_num(values[name], compute_num=False)[0] for _, values, *_ in rows]


def _micros(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)
