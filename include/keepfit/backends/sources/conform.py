"""Rows of any shape become rows of the declared columns and types, or an error says why not."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from keepfit.backends.engine import Connection, EngineError, columns_of, first_line, identifier, literal
from keepfit.backends.sources.casts import STOP, cast, inside
from keepfit.backends.sources.wrong_values import first_wrong, kinds_of
from keepfit.errors import SchemaError, SourceError
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.problem import did_you_mean
from keepfit.spec.window import Window

SOURCE_COLUMNS = "keepfit.source_columns"
"""The key of the Parquet metadata under which a file says what its source has."""
_ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
}


def copy_conforming(
    connection: Connection,
    relation: str,
    dataset: DatasetSpec,
    window: Window,
    out: Path,
    *,
    files: Mapping[str, str] | None = None,
) -> None:
    """Write a relation's rows of a window as Parquet with the declared columns, in bounded memory.

    Args:
        connection: The engine.
        relation: What to read.
        dataset: What is declared.
        window: Which rows.
        out: Where to.
        files: The relations of the single files, by name: there the row of a wrong value is looked for.

    Raises:
        SourceError: The relation cannot be read, or lacks a column.
        SchemaError: A value is not of the declared type.
    """
    with explained(dataset, lambda: first_wrong(connection, files or {}, dataset, window)):
        found = columns_of(connection, relation)
        select = conforming(
            relation, found, dataset, window, undated=_any_undated(connection, relation, dataset)
        )
        notes = f"KV_METADATA {{{literal(SOURCE_COLUMNS)}: {literal(json.dumps(list(found)))}}}"
        connection.execute(
            f"COPY ({select}) TO {literal(str(out))} (FORMAT parquet, COMPRESSION snappy, {notes})"
        )


def _any_undated(connection: Connection, relation: str, dataset: DatasetSpec) -> bool:
    """Tell whether any row has no time; where none has, one scan does, at half the cost of two."""
    if dataset.snapshot:
        return False
    time = identifier(dataset.source_columns[dataset.source_time])
    undated = f"SELECT 1 FROM {relation} WHERE {time} IS NULL LIMIT 1"
    return connection.execute(undated).fetchone() is not None


def conforming(
    relation: str, found: Mapping[str, str], dataset: DatasetSpec, window: Window, *, undated: bool = True
) -> str:
    """Write the SELECT of a dataset's columns in their types, for a window; rows without a time come too."""
    refuse_missing(dataset, found)
    taken, kinds = dataset.taken, kinds_of(dataset, found)
    columns = [f"{cast(name, each, kinds[name])} AS {identifier(name)}" for name, each in taken.items()]
    select, time = f"SELECT {', '.join(columns)} FROM {relation}", dataset.source_time
    if dataset.snapshot:
        return select
    scans = inside(time, taken[time], kinds[time], window)
    return " UNION ALL ".join(f"{select} WHERE {rows}" for rows in (scans if undated else scans[:1]))


def declared(dataset: DatasetSpec, found: Iterable[str]) -> pa.Schema:
    """Return the schema of a dataset's extracted rows, with a note of what its source has."""
    return schema_of(dataset.types).with_metadata({SOURCE_COLUMNS: json.dumps(list(found))})


def schema_of(columns: Mapping[str, str]) -> pa.Schema:
    """Return the schema of columns, given their types as a dataset's spec names them."""
    return pa.schema([(column, _ARROW[kind]) for column, kind in columns.items()])


def refuse_missing(dataset: DatasetSpec, found: Iterable[str], where: str = "its source") -> None:
    """Refuse a source without a declared column."""
    found = list(found)
    missing = [column for column in dict.fromkeys(dataset.source_columns.values()) if column not in found]
    if missing:
        hint = did_you_mean(missing[0], found)
        raise SourceError(
            f"Dataset {dataset.name}: {where} lacks {_listed(missing)}.{hint} "
            f"It has: {', '.join(found) or 'nothing'}. "
            f"Correct `columns` in datasets/{dataset.name}.yaml, or the source."
        )


@contextmanager
def explained(dataset: DatasetSpec, find: Callable[[], str | None] = lambda: None) -> Iterator[None]:
    """Turn the engine's errors into ours; `find` says more of a value that does not cast."""
    try:
        yield
    except EngineError as error:
        said = first_line(error)
        if STOP in said:
            raise SchemaError(
                f"Dataset {dataset.name}: {find() or said.split(STOP, 1)[1]}. Declare another type in "
                f"datasets/{dataset.name}.yaml (string takes any value; a time that is not written as "
                "2024-01-31T10:00:00Z needs its `format`), or correct the source."
            ) from None
        raise SourceError(f"Dataset {dataset.name}: its source cannot be read: {said}") from error


def _listed(columns: list[str]) -> str:
    return ("the column " if len(columns) == 1 else "the columns ") + ", ".join(map(repr, columns))
