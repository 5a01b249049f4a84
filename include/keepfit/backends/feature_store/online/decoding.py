"""Stored values as Python has them, the same as Feast gives, without a message for each number."""

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type
from feast.types import Bool, Bytes, FeastType, Float32, Float64, Int32, Int64, String

from keepfit.backends.feature_store.online.encoding import tag_of

Decode = Callable[[bytes], Any]

_FLOATS = {Float32: Struct("<xf"), Float64: Struct("<xd")}
_FIELDS = {Bool: "bool_val", Bytes: "bytes_val", Int32: "int32_val", Int64: "int64_val", String: "string_val"}


def decoder(declared: FeastType) -> Decode:
    """Return what reads a stored value; one stored as another type than declared is read as what it is."""
    kind = declared.to_value_type()

    def as_feast(stored: bytes) -> Any:
        return feast_value_type_to_python_type(Value.FromString(stored), kind)

    if declared in _FLOATS:
        return _float(_FLOATS[declared], tag_of(declared), as_feast)
    if declared in _FIELDS:
        return _field(_FIELDS[declared], tag_of(declared), as_feast)
    return as_feast


def decoded(stored: Sequence[bytes | None], decode: Decode) -> list[Any]:
    """Read a column; what is missing or empty is None."""
    return [decode(value) if value else None for value in stored]


def _float(layout: Struct, tag: int, otherwise: Decode) -> Decode:
    unpack, size = layout.unpack, layout.size

    def decode(stored: bytes) -> Any:
        if stored[0] == tag and len(stored) == size:
            return unpack(stored)[0]
        return otherwise(stored)

    return decode


def _field(name: str, tag: int, otherwise: Decode) -> Decode:
    def decode(stored: bytes) -> Any:
        return getattr(Value.FromString(stored), name) if stored[0] == tag else otherwise(stored)

    return decode
