"""Extracted rows are held against the declared columns before anything judges values."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepfit.backends.sources.conform import SOURCE_COLUMNS
from keepfit.errors import SchemaError
from keepfit.spec import DatasetSpec
from keepfit.spec.project import EngineSpec
from keepfit.steps.check_schema import SchemaCheck, check_schema

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
SPEC: dict[str, Any] = {
    "name": "trips",
    "source": {"type": "files", "path": "data/*.csv"},
    "columns": {"key": "string", "at": "timestamp", "size": "int64"},
    "key": ("key",),
    "event_time": "at",
}


def checked(
    folder: Path, rows: dict[str, Any], source: list[str] | None = None, **changes: Any
) -> SchemaCheck:
    types = {"key": pa.string(), "at": pa.timestamp("us", "UTC"), "size": pa.int64()}
    arrays = {name: pa.array(values, types.get(name)) for name, values in rows.items()}
    table = pa.table(arrays).replace_schema_metadata({SOURCE_COLUMNS: json.dumps(source or list(rows))})
    pq.write_table(table, folder / "rows")
    dataset = DatasetSpec.model_validate(SPEC | changes)
    return check_schema(
        folder / "rows", dataset, EngineSpec(memory_limit="128MB", threads=1), folder / "scratch"
    )


def test_sound_rows_are_counted_without_a_warning(tmp_path: Path) -> None:
    check = checked(tmp_path, {"key": ["a", "b"], "at": [NOON, NOON], "size": [1, None]})
    assert (check.rows, check.missing, check.warnings) == (2, {"key": 0, "at": 0, "size": 1}, ())


def test_what_the_source_has_more_is_noted(tmp_path: Path) -> None:
    check = checked(tmp_path, {"key": ["a"], "at": [NOON], "size": [1]}, ["key", "new", "at", "size"])
    assert check.left_behind == ("new",)


def test_rows_without_a_time_doubled_keys_and_empty_columns_are_warned_of(tmp_path: Path) -> None:
    check = checked(tmp_path, {"key": ["a", "a", "b"], "at": [NOON, NOON, None], "size": [None] * 3})
    assert (check.undated, check.duplicate_keys) == (1, 1)
    assert check.warnings == (
        "1 rows have no time and belong to no window.",
        "1 keys name more than one row.",
        "Column 'size' has no values at all.",
    )


def test_an_empty_window_is_a_warning(tmp_path: Path) -> None:
    check = checked(tmp_path, {"key": [], "at": [], "size": []})
    assert check.warnings == ("The source has no rows for this window.",)


@pytest.mark.parametrize("column", ["key", "at"])
def test_a_key_or_time_without_any_value_stops(tmp_path: Path, column: str) -> None:
    columns: dict[str, Any] = {"key": ["a", "b"], "at": [NOON, NOON], "size": [1, 2]} | {column: [None, None]}
    with pytest.raises(SchemaError) as refused:
        checked(tmp_path, columns)
    assert str(refused.value) == (
        f"Dataset trips: all 2 rows lack a value in {column}, by which rows are named and placed in time. "
        "See whether the source fills the column at all."
    )


def test_columns_gone_and_of_other_types_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(SchemaError) as refused:
        checked(tmp_path, {"key": ["a"], "at": [NOON]}, columns=SPEC["columns"] | {"key": "int64"})
    assert str(refused.value) == (
        "Dataset trips: its extracted rows differ from its `columns`: key should be int64 and is string; "
        "size is missing. Correct datasets/trips.yaml or the source, and extract again."
    )


def test_a_key_that_the_transform_computes_is_not_looked_for(tmp_path: Path) -> None:
    columns = {"key": ["a", "a"], "at": [NOON, NOON], "size": [1, 1]}
    check = checked(tmp_path, columns, key=("computed",), transform="trips")
    assert check.duplicate_keys == 0
