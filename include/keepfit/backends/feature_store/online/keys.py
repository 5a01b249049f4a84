"""Entity keys as Feast serialises them, a column at a time."""

import struct
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.types import Bytes, FeastType, Int32, Int64, String, UnixTimestamp
from feast.value_type import ValueType

from keepfit.backends.feature_store.declared import as_declared
from keepfit.backends.feature_store.online.encoding import constant, fixed_width, joined, with_lengths

VERSION = 3
"""The layout of keys, `entity_key_serialization_version`; Feast has given up the ones before."""
KEY_TYPES = (Int32, Int64, String, Bytes, UnixTimestamp)


def encode_keys(columns: Mapping[str, tuple[pa.Array, FeastType]]) -> pa.Array:
    """Serialise keys: how many, their names in order, then each value with its type and length."""
    names = sorted(columns)
    prefix = struct.pack("<I", len(names))
    for name in names:
        prefix += struct.pack("<II", ValueType.STRING.value, len(name.encode())) + name.encode()
    return joined([pa.scalar(prefix, pa.binary()), *(_value(*columns[name], name) for name in names)])


def _value(values: pa.Array, declared: FeastType, name: str) -> pa.Array:
    values = as_declared(values, declared, name)
    kind = constant("<I", declared.to_value_type().value)
    if declared in (String, Bytes):
        return joined([kind, with_lengths(pc.cast(values, pa.binary()))])
    if declared == UnixTimestamp:
        values = pc.divide(pc.cast(values, pa.int64()), 1_000_000)
    numbers = np.ascontiguousarray(values.to_numpy(zero_copy_only=False))
    width = numbers.dtype.itemsize
    return joined([kind, constant("<I", width), fixed_width(numbers.view(np.uint8).reshape(-1, width))])
