"""A Parquet file about to be published: its rows in the types the lake keeps."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keepfit.errors import SchemaError
from keepfit.spec.window import Window

_BATCH = 65_536
_MOMENT = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Staged:
    """A finished file: the same rows in the same order have the same digest."""

    file: Path
    rows: int
    digest: str
    schema: pa.Schema

    @classmethod
    def of(cls, file: Path) -> Self:
        """Look at a file."""
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        with pq.ParquetFile(file) as parquet:
            schema = pa.schema([(each.name, _kept_as(each.type)) for each in parquet.schema_arrow])
            return cls(file, parquet.metadata.num_rows, digest, schema)

    @property
    def columns(self) -> dict[str, str]:
        """The columns with their logical types."""
        return logical_types(self.schema)

    def reader(self) -> pa.RecordBatchReader:
        """Read the rows batch by batch."""
        return pa.RecordBatchReader.from_batches(self.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(self.file, pre_buffer=False) as parquet:
            for batch in parquet.iter_batches(_BATCH):
                columns = [_cast(batch.column(each.name), each.type) for each in self.schema]
                yield pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def refuse_strays(self, table: str, time_column: str, window: Window) -> None:
        """Refuse rows outside a window: publishing them would double or lose rows."""
        if time_column not in self.schema.names:
            raise SchemaError(
                f"The rows for table {table} have no column {time_column!r}, by which it is published."
            )
        strays = sum(_strays(moments, window) for moments in self._moments(time_column))
        if strays:
            raise SchemaError(
                f"{strays} of {self.rows} rows for table {table} have a {time_column} outside the window "
                f"{window.key} or none. Publish only rows of the window."
            )

    def _moments(self, time_column: str) -> Iterator[pa.Array]:
        with pq.ParquetFile(self.file, pre_buffer=False) as parquet:
            for batch in parquet.iter_batches(_BATCH, columns=[time_column]):
                yield _cast(batch.column(0), _MOMENT)


def _strays(moments: pa.Array, window: Window) -> int:
    start, end = pa.scalar(window.start, _MOMENT), pa.scalar(window.end, _MOMENT)
    inside = pc.and_(pc.greater_equal(moments, start), pc.less(moments, end))
    return len(moments) - (pc.sum(inside).as_py() or 0)


def logical_types(schema: pa.Schema) -> dict[str, str]:
    """Name the types of columns the way a dataset's spec does."""
    return {each.name: _NAMES.get(each.type, str(each.type)) for each in schema}


_NAMES = {
    pa.string(): "string",
    pa.int64(): "int64",
    pa.float64(): "float64",
    pa.bool_(): "bool",
    _MOMENT: "timestamp",
    pa.date32(): "date",
}


def _cast(values: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    """Cast values; a moment may lose what is finer than a microsecond, nothing else may lose anything."""
    return values.cast(kind, safe=not pa.types.is_timestamp(kind))


def _kept_as(kind: pa.DataType) -> pa.DataType:
    """Return the one type the lake keeps values of a kind in, so that windows never differ by width."""
    if pa.types.is_dictionary(kind):
        return _kept_as(kind.value_type)
    if pa.types.is_timestamp(kind):
        return _MOMENT
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind
