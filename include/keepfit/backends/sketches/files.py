"""Sketches as a file: one row of Parquet a column."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.backends.sketches.sketch import Sketch

_PLAIN = ("kind", "rows", "missing", "infinite", "exponent", "low", "high", "squares", "folded", "strange")
_SCHEMA = pa.schema(
    [
        ("column", pa.string()),
        ("kind", pa.string()),
        ("rows", pa.int64()),
        ("missing", pa.int64()),
        ("infinite", pa.int64()),
        ("exponent", pa.int32()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("squares", pa.float64()),
        ("folded", pa.int64()),
        ("strange", pa.string()),
        ("numbers", pa.list_(pa.float64())),
        ("texts", pa.list_(pa.string())),
        ("counts", pa.list_(pa.int64())),
    ]
)


def write_sketches(path: Path, sketches: Mapping[str, Sketch]) -> None:
    """Write sketches by the names of their columns."""
    rows = [
        {
            "column": name,
            **{field: getattr(each, field) for field in _PLAIN},
            "numbers": each.values if each.kind == "number" else None,
            "texts": each.values.tolist() if each.kind == "category" else None,
            "counts": each.counts,
        }
        for name, each in sketches.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), path, compression="zstd")


def read_sketches(path: Path) -> dict[str, Sketch]:
    """Read sketches back, in the order in which they were written."""
    return {row["column"]: _sketch(row) for row in pq.read_table(path, schema=_SCHEMA).to_pylist()}


def _sketch(row: dict[str, object]) -> Sketch:
    numbers = row["kind"] == "number"
    values = np.array(row["numbers"], np.float64) if numbers else np.array(row["texts"] or [], object)
    plain = {field: row[field] for field in _PLAIN}
    return Sketch(values=values, counts=np.array(row["counts"], np.int64), **plain)  # type: ignore[arg-type]
