"""Check schema: hold the extracted columns against the declared ones, before anything judges values."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.backends.engine import Connection, count, engine, identifier, identifiers, scan
from keepfit.backends.sources.conform import SOURCE_COLUMNS, declared
from keepfit.errors import SchemaError
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.project import EngineSpec


@dataclass(frozen=True)
class SchemaCheck:
    """What the extracted rows look like."""

    rows: int
    undated: int
    """Rows without a time in the window column: they belong to no window and are not published."""
    duplicate_keys: int
    """Keys that name more than one row, where the key's columns are extracted."""
    missing: dict[str, int]
    """How many values are missing, by column."""
    left_behind: tuple[str, ...]
    """Columns the source has and the dataset does not declare."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Say what is worth a look."""
        said = []
        if self.rows == 0:
            said.append("The source has no rows for this window.")
        if self.undated:
            said.append(f"{self.undated} rows have no time and belong to no window.")
        if self.duplicate_keys:
            said.append(f"{self.duplicate_keys} keys name more than one row.")
        said += [f"Column {column!r} has no values at all." for column in self.empty]
        return tuple(said)

    @property
    def empty(self) -> tuple[str, ...]:
        """Name the columns without any value, if there are rows."""
        return tuple(column for column, count in self.missing.items() if 0 < self.rows == count)


def check_schema(file: Path, dataset: DatasetSpec, bounds: EngineSpec, scratch: Path) -> SchemaCheck:
    """Compare columns and types, and look for missing keys and times.

    Raises:
        SchemaError: A column is gone or of another type, or a key or time column has no values.
    """
    schema = pq.read_schema(file)
    _refuse_difference(schema, dataset)
    source = json.loads((schema.metadata or {}).get(SOURCE_COLUMNS.encode(), b"[]"))
    with engine(bounds, scratch) as connection:
        check = SchemaCheck(
            rows=pq.read_metadata(file).num_rows,
            undated=_undated(connection, file, dataset),
            duplicate_keys=_duplicates(connection, file, dataset),
            missing=_missing(connection, file, dataset),
            left_behind=tuple(column for column in source if column not in dataset.source_columns.values()),
        )
    _refuse_nameless(check, dataset)
    return check


def _refuse_difference(schema: pa.Schema, dataset: DatasetSpec) -> None:
    wanted = declared(dataset, ())
    wrong = [
        f"{each.name} should be {each.type} and is {schema.field(each.name).type}"
        if each.name in schema.names
        else f"{each.name} is missing"
        for each in wanted
        if each.name not in schema.names or schema.field(each.name).type != each.type
    ]
    if wrong:
        raise SchemaError(
            f"Dataset {dataset.name}: its extracted rows differ from its `columns`: {'; '.join(wrong)}. "
            f"Correct datasets/{dataset.name}.yaml or the source, and extract again."
        )


def _refuse_nameless(check: SchemaCheck, dataset: DatasetSpec) -> None:
    needed = [*dataset.key, dataset.event_time, *([] if dataset.snapshot else [dataset.source_time])]
    empty = [column for column in dict.fromkeys(needed) if column in check.empty]
    if empty:
        raise SchemaError(
            f"Dataset {dataset.name}: all {check.rows} rows lack a value in {', '.join(empty)}, by which "
            "rows are named and placed in time. See whether the source fills the column at all."
        )


def _undated(connection: Connection, file: Path, dataset: DatasetSpec) -> int:
    if dataset.snapshot:
        return 0
    return count(connection, f"{scan([file])} WHERE {identifier(dataset.source_time)} IS NULL")


def _duplicates(connection: Connection, file: Path, dataset: DatasetSpec) -> int:
    if not set(dataset.key) <= set(dataset.columns):
        return 0
    keys = identifiers(dataset.key)
    return count(connection, f"(SELECT 1 FROM {scan([file])} GROUP BY {keys} HAVING count(*) > 1)")


def _missing(connection: Connection, file: Path, dataset: DatasetSpec) -> dict[str, int]:
    counts = ", ".join(f"count(*) - count({identifier(column)})" for column in dataset.columns)
    row = connection.execute(f"SELECT {counts} FROM {scan([file])}").fetchone() or ()
    return dict(zip(dataset.columns, row, strict=True))
