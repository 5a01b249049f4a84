"""The types that features are declared with, held offline as online."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.types import (
    Bool,
    Bytes,
    FeastType,
    Float32,
    Float64,
    Int32,
    Int64,
    String,
    UnixTimestamp,
)

from keepfit.backends.input_kind import InputKind
from keepfit.errors import FeatureStoreError

MOMENT = pa.timestamp("us", "UTC")
_ARROW = {
    Bool: pa.bool_(),
    Bytes: pa.binary(),
    Float32: pa.float32(),
    Float64: pa.float64(),
    Int32: pa.int32(),
    Int64: pa.int64(),
    String: pa.string(),
    UnixTimestamp: MOMENT,
}

_KINDS = {
    Bool: InputKind.FLAG,
    Float32: InputKind.NUMBER,
    Float64: InputKind.NUMBER,
    Int32: InputKind.WHOLE_32,
    Int64: InputKind.WHOLE,
    String: InputKind.TEXT,
}


def kinds_of(types: Mapping[str, FeastType]) -> dict[str, InputKind]:
    """Return what may be brought for columns, where that is plain to see from their declared types."""
    return {name: _KINDS[declared] for name, declared in types.items() if declared in _KINDS}


def no_values(count: int, declared: FeastType) -> pa.Array | None:
    """Return so many nulls of a declared type; None where it has no plain Arrow counterpart."""
    kind = _ARROW.get(declared)
    return None if kind is None else pa.nulls(count, kind)


def as_declared(values: pa.Array, declared: FeastType, name: str) -> pa.Array:
    """Return values as Feast's declared type has them, which for a `UnixTimestamp` is whole seconds.

    Lists, maps and other types without a plain Arrow counterpart are returned as they are.

    Raises:
        FeatureStoreError: A value would not survive.
    """
    wanted = _ARROW.get(declared)
    if wanted is None or (values.type == wanted and wanted != MOMENT):
        return values
    if wanted == MOMENT:
        return pc.floor_temporal(moments(values), unit="second")
    try:
        if pa.types.is_floating(values.type) and not pa.types.is_floating(wanted):
            values = pc.if_else(pc.is_nan(values), None, values)
        return pc.cast(values, wanted)
    except pa.ArrowInvalid as error:
        raise FeatureStoreError(
            f"The feature {name!r} is declared as {declared}, and its column of {values.type} holds values "
            f"that do not fit: {error}. Declare the type that the column has, or cast the column."
        ) from error


def moments(values: pa.Array) -> pa.Array:
    """Return points in time to the microsecond; without a zone they are UTC, and integers are seconds."""
    if pa.types.is_integer(values.type):
        values = pc.cast(values, pa.timestamp("s"))
    return pc.cast(values, MOMENT, safe=False)


def microseconds(values: pa.Array, missing: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return points in time as microseconds since 1970."""
    numbers = pc.fill_null(pc.cast(moments(values), pa.int64()), missing)
    return np.asarray(numbers, dtype=np.int64)
