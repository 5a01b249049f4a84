"""The rows of the prediction log, and the Arrow table they become."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa

from keepfit.backends.log_keys import logged_key
from keepfit.backends.prediction_columns import EVENT_TIME, MOMENT_TYPE, prediction_schema

LOG_ID, REQUEST_ID, ROW, ASKED_AT = "log_id", "request_id", "request_row", "asked_at"
"""`log_id` names a row of the log: whoever reads it counts rows of the same name once."""
_MORE = {LOG_ID: pa.string(), ASKED_AT: MOMENT_TYPE, REQUEST_ID: pa.string(), ROW: pa.int32()}
_UNFIT = (pa.ArrowException, TypeError, ValueError, OverflowError)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One score of one row of a request."""

    request_id: str
    """As the client named it: requests that have nothing else in common may share it."""
    at: datetime
    """When it was asked, in UTC."""
    version: str
    role: str
    """`champion` or `challenger` if it was answered, `shadow` if it was scored beside."""
    key: Mapping[str, Any]
    """Entity keys, and of the row's own key what was given; the rest is null."""
    features: Sequence[Any]
    """What the model was given, after the look-up, in the order of the log's features."""
    score: float
    row: int = 0
    """Which row of the request it is."""
    event_time: datetime | None = None
    """The row's own moment, if the request gave it; else it is the moment of the request."""
    log_id: str = field(default_factory=lambda: uuid4().hex)
    """What names it in the log, however often it is written."""

    @property
    def day(self) -> date:
        """The day it is filed under."""
        return self.at.astimezone(UTC).date()


class LogTable:
    """Makes tables of entries, all with the same columns."""

    def __init__(self, keys: Mapping[str, str], features: Mapping[str, str]) -> None:
        """Lay out the columns.

        Raises:
            FeatureStoreError: A feature or key has a name that the log needs itself.
        """
        self.features = tuple(features)
        self._keys = dict(keys)
        self.keys = tuple(keys)
        self._schema = prediction_schema(keys, features, _MORE)

    def keyed(self, key: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row's key as it is logged; what has no column is left out.

        Raises:
            TypeError: A value does not fit its column; the second argument is its name.
        """
        found = {}
        for name in self._keys.keys() & key.keys():
            try:
                found[name] = logged_key(key[name], self._keys[name])
            except TypeError as error:
                raise TypeError(str(error), name) from None
        return found

    def of(self, entries: Sequence[Entry]) -> pa.Table:
        """Write entries, at least one, as a table; a value of another kind than its column's is null."""
        columns: dict[str, Sequence[Any]] = {
            name: [_key(entry.key.get(name), name, kind) for entry in entries]
            for name, kind in self._keys.items()
        }
        columns[EVENT_TIME] = [entry.event_time or entry.at for entry in entries]
        by_feature = zip(*(entry.features for entry in entries), strict=True)
        columns |= dict(zip(self.features, by_feature, strict=True))
        columns["score"] = [entry.score for entry in entries]
        columns["version"] = [entry.version for entry in entries]
        columns["role"] = [entry.role for entry in entries]
        columns[LOG_ID] = [entry.log_id for entry in entries]
        columns[ASKED_AT] = [entry.at for entry in entries]
        columns[REQUEST_ID] = [entry.request_id for entry in entries]
        columns[ROW] = [entry.row for entry in entries]
        return pa.table([_column(columns[each.name], each) for each in self._schema], schema=self._schema)


def _key(value: Any, name: str, kind: str) -> Any:
    try:
        return logged_key(value, kind)
    except TypeError as error:
        _log.warning("The prediction log writes a value of %s as null: it %s", name, error)
        return None


def _column(values: Sequence[Any], column: pa.Field) -> pa.Array:
    try:
        return pa.array(values, column.type, from_pandas=True)
    except _UNFIT as error:
        # One value of another kind must not hold up all rows that come after it.
        _log.warning("The prediction log writes a value of %s as null: %s", column.name, error)
        return pa.array([_value(each, column.type) for each in values], column.type)


def _value(value: Any, kind: pa.DataType) -> Any:
    try:
        return pa.scalar(value, kind, from_pandas=True).as_py()
    except _UNFIT:
        return None
