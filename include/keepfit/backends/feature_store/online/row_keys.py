"""Entity keys of single rows, as Feast serialises them."""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.type_map import python_values_to_proto_values
from feast.types import FeastType, Int32, Int64, String
from feast.value_type import ValueType

from keepfit.backends.feature_store.online.keys import VERSION
from keepfit.errors import FeatureStoreError

_NAMELESS = 12
"""Where the value starts in a key whose one name is empty."""
_LIMITS = {Int32: 2**31, Int64: 2**63}


@dataclass(frozen=True)
class KeyField:
    """One part of an entity's key: its own name, and the column in which rows bring it."""

    name: str
    column: str
    dtype: FeastType


class RowKeys:
    """Serialises the keys of rows."""

    def __init__(self, fields: Sequence[KeyField]) -> None:
        """Prepare what all keys have in common."""
        in_order = sorted(fields, key=lambda field: field.name)
        self._start = struct.pack("<I", len(in_order))
        for name in (field.name.encode() for field in in_order):
            self._start += struct.pack("<II", ValueType.STRING.value, len(name)) + name
        self._parts = [(field.column, _part(field)) for field in in_order]

    def encode(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[bytes | None]:
        """Return each row's key; where a part of it is null there is none.

        Raises:
            FeatureStoreError: A value is not of the key's type.
        """
        start = self._start
        parts = [[part(value) for value in columns[column]] for column, part in self._parts]
        if len(parts) == 1:
            return [None if part is None else start + part for part in parts[0]]
        whole = zip(*parts, strict=True) if parts else iter([()] * rows)
        return [None if None in each else start + b"".join(each) for each in whole]


def _part(field: KeyField) -> Callable[[Any], bytes | None]:
    if field.dtype in _LIMITS:
        return _integer(field)
    if field.dtype == String:
        return lambda value: _text(field, value) if type(value) is str else _as_feast(field, value)
    return lambda value: _as_feast(field, value)


def _integer(field: KeyField) -> Callable[[Any], bytes | None]:
    limit, kind = _LIMITS[field.dtype], field.dtype.to_value_type().value
    pack, width = (struct.Struct("<IIq").pack, 8) if field.dtype == Int64 else (struct.Struct("<IIi").pack, 4)

    def part(value: Any) -> bytes | None:
        if type(value) is int and -limit <= value < limit:
            return pack(kind, width, value)
        return _as_feast(field, value)

    return part


def _text(field: KeyField, value: str) -> bytes:
    try:
        raw = value.encode()
    except UnicodeEncodeError as error:
        raise _unfit(field, value, error) from error
    return struct.pack("<II", ValueType.STRING.value, len(raw)) + raw


def _as_feast(field: KeyField, value: Any) -> bytes | None:
    try:
        if pd.isna(value):
            return None
        found = python_values_to_proto_values([value], field.dtype.to_value_type())
        whole: bytes = serialize_entity_key(EntityKey(join_keys=[""], entity_values=found), VERSION)
    except (TypeError, ValueError, OverflowError) as error:
        raise _unfit(field, value, error) from error
    return whole[_NAMELESS:]


def _unfit(field: KeyField, value: Any, error: Exception) -> FeatureStoreError:
    return FeatureStoreError(
        f"{value!r} in the column {field.column!r} is no {field.dtype}, which the key {field.name!r} is "
        f"declared as: {error}"
    )
