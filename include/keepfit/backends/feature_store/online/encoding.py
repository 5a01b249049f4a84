"""Columns of values as the bytes that Feast stores: its `Value` messages, without making any."""

import struct

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.type_map import python_values_to_proto_values
from feast.types import (
    Bool,
    Bytes,
    FeastType,
    Float32,
    Float64,
    Int32,
    Int64,
    PrimitiveFeastType,
    String,
    UnixTimestamp,
)

Bytes2D = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
Integers = np.ndarray[tuple[int], np.dtype[np.int64]]

_FIXED = {Float64: 0x29, Float32: 0x35}
_VARINT = {Int32: 0x18, Int64: 0x20, Bool: 0x38, UnixTimestamp: 0x40}
_TEXT = {Bytes: 0x0A, String: 0x12}
"""The tag before a value: its field in Feast's Value message, and its wire type."""
_EMPTY = pa.scalar(b"", pa.binary())


def tag_of(declared: FeastType) -> int:
    """Return the first byte of a stored number, flag, moment, text or bytes."""
    return (_FIXED | _VARINT | _TEXT)[declared]


def encode(values: pa.Array, declared: FeastType) -> pa.Array:
    """Serialise a column as its declared type; a null, or what is not a number, is an empty message."""
    if declared in _FIXED:
        return _fixed(values, _FIXED[declared])
    if declared in _VARINT:
        return _varints(values, _VARINT[declared], declared)
    if declared in _TEXT:
        return _texts(values, _TEXT[declared])
    messages = python_values_to_proto_values(values.to_numpy(zero_copy_only=False), declared.to_value_type())
    return pa.array([message.SerializeToString() for message in messages], pa.binary())


def written(values: pa.Array, declared: FeastType) -> list[str | None]:
    """Return the text that Feast's SQL stores keep beside a value."""
    if declared == String:
        texts: list[str | None] = values.to_pylist()
        return texts
    if not isinstance(declared, PrimitiveFeastType) or declared not in (_FIXED | _VARINT):
        return [None] * len(values)
    if declared == UnixTimestamp:
        return [None] * len(values)
    return [None if value is None or value != value else str(value) for value in values.to_pylist()]  # noqa: PLR0124


def seconds_and_nanos(micros: Integers) -> pa.Array:
    """Serialise moments as protobuf Timestamps."""
    seconds, rest = np.divmod(micros, 1_000_000)
    parts = [
        pc.if_else(pa.array(numbers != 0), _varint(numbers, tag), _EMPTY)
        for numbers, tag in ((seconds, 0x08), (rest * 1000, 0x10))
    ]
    return joined(parts)


def with_lengths(values: pa.Array) -> pa.Array:
    """Put each value's length before it, as four bytes, the lowest first."""
    lengths = np.asarray(pc.binary_length(values), dtype="<u4")
    return joined([fixed_width(lengths.view(np.uint8).reshape(-1, 4)), values])


def joined(columns: list[pa.Array | pa.Scalar]) -> pa.Array:
    """Join binary columns row by row."""
    return pc.binary_join_element_wise(*columns, _EMPTY) if len(columns) > 1 else columns[0]


def fixed_width(rows: Bytes2D) -> pa.Array:
    """Make a binary column of equally long rows."""
    return _binary(np.full(len(rows), rows.shape[1]), rows)


def constant(layout: str, *numbers: int) -> pa.Scalar:
    """Pack numbers into a binary scalar."""
    return pa.scalar(struct.pack(layout, *numbers), pa.binary())


def _binary(lengths: Integers, data: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.binary(), len(lengths), buffers)


def _fixed(values: pa.Array, tag: int) -> pa.Array:
    numbers = np.ascontiguousarray(values.to_numpy(zero_copy_only=False))
    there = ~np.isnan(numbers)
    width = numbers.dtype.itemsize
    rows = np.empty((len(numbers), 1 + width), np.uint8)
    rows[:, 0] = tag
    rows[:, 1:] = numbers.view(np.uint8).reshape(-1, width)
    return _binary(np.where(there, 1 + width, 0), rows[there])


def _varints(values: pa.Array, tag: int, declared: FeastType) -> pa.Array:
    if declared == UnixTimestamp:
        values = pc.divide(pc.cast(values, pa.int64()), 1_000_000)
    numbers = np.asarray(pc.fill_null(pc.cast(values, pa.int64()), 0), dtype=np.int64)
    there = np.asarray(pc.is_valid(values))
    encoded = _varint(numbers, tag)
    return encoded if there.all() else pc.if_else(pa.array(there), encoded, _EMPTY)


def _varint(numbers: Integers, tag: int) -> pa.Array:
    """Write a tag and seven bits at a time, the lowest first; the top bit says that more follow."""
    bits = numbers.astype(np.int64).view(np.uint64)
    lengths = np.ones(len(bits), np.int64)
    for shift in range(7, 64, 7):
        lengths += bits >= np.uint64(1 << shift)
    width = int(lengths.max(initial=1))
    rows = np.empty((len(bits), 1 + width), np.uint8)
    rows[:, 0] = tag
    for place in range(width):
        more = np.where(lengths - 1 > place, 0x80, 0)
        rows[:, 1 + place] = ((bits >> np.uint64(7 * place)) & np.uint64(0x7F)).astype(np.uint8) | more
    return _binary(1 + lengths, rows[np.arange(1 + width) <= lengths[:, None]])


def _texts(values: pa.Array, tag: int) -> pa.Array:
    raw = pc.cast(values, pa.binary())
    lengths = np.asarray(pc.fill_null(pc.binary_length(raw), 0), dtype=np.int64)
    return pc.fill_null(joined([_varint(lengths, tag), raw]), b"")
