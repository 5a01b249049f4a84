"""Transform: compute the rows a dataset publishes, by its SELECT over what was extracted or published."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from keepfit.backends.engine import (
    Connection,
    EngineError,
    columns_of,
    count,
    engine,
    first_line,
    identifiers,
    literal,
    seal,
)
from keepfit.backends.select import line_of, read_select
from keepfit.backends.staged import logical_types
from keepfit.errors import TransformError
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.project import EngineSpec
from keepfit.spec.window import Window
from keepfit.steps.computed_rows import COMPUTED, PUBLISHED, show_publishable
from keepfit.steps.transform_views import View, create_view


@dataclass(frozen=True)
class Transformed:
    """What will be published."""

    rows: int
    outside: int
    """Rows left out because their event time is outside the window."""
    columns: Mapping[str, str]
    warnings: tuple[str, ...]


def transform(
    dataset: DatasetSpec,
    sql: str | None,
    views: Iterable[View],
    window: Window,
    *,
    out: Path,
    bounds: EngineSpec,
    scratch: Path,
) -> Transformed:
    """Run a dataset's SELECT and write its rows of the window to `out`, sorted by event time and key.

    The same rows give the same bytes.

    Args:
        dataset: What is published; without `sql`, the view `source` as it is.
        sql: The SELECT. It may use $window_start and $window_end; it reads no files and no clock.
        views: What it may read.
        window: The rows to keep, by event time; a snapshot keeps all.
        out: The Parquet file to write.
        bounds: The engine's memory and threads.
        scratch: A folder for what does not fit into memory.

    Raises:
        TransformError: The SQL fails, or its rows lack the key or event time, or name a row twice.
    """
    file = dataset.files.get("transform", f"datasets/{dataset.name}.yaml")
    with engine(bounds, scratch) as connection:
        readable = [path for view in views for path in create_view(connection, view)]
        seal(connection, [*readable, out])
        try:
            _compute(connection, "FROM source" if sql is None else sql, file, window)
            show_publishable(connection, dataset, columns_of(connection, COMPUTED), window, file)
            _write(connection, [dataset.event_time, *dataset.key], out)
        except EngineError as error:
            raise TransformError(f"{file}: {first_line(error)}{line_of(error)}") from error
        rows = count(connection, PUBLISHED)
        outside = count(connection, COMPUTED) - rows
        types = logical_types(pq.read_schema(out))
        return Transformed(rows, outside, types, tuple(_lost(dataset, outside, window)))


def _lost(dataset: DatasetSpec, outside: int, window: Window) -> Iterator[str]:
    """Warn of rows that this window leaves out and no other will read."""
    # What is computed from datasets looks back, so that its rows of earlier windows come again.
    if outside and not dataset.inputs:
        yield (
            f"{outside:,} rows that {dataset.source_time!r} places in {window.key} have their event time "
            f"{dataset.event_time!r} outside it. They are left out, and no other window reads them. "
            f"Choose another `window_column` or `event_time` in datasets/{dataset.name}.yaml, or ingest "
            "windows long enough to hold both."
        )


def _compute(connection: Connection, sql: str, file: str, window: Window) -> None:
    values = {"window_start": window.start, "window_end": window.end}
    select = read_select(connection, sql, file, values)
    # The SELECT begins on the first line, so that the engine's line numbers are those of the file.
    connection.execute(f"CREATE TEMP TABLE {COMPUTED} AS {select.text}", select.bound(values))


def _write(connection: Connection, order: Iterable[str], out: Path) -> None:
    # The engine's temporary file would lie beside `out`, where a sealed connection may not write.
    options = "FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false"
    rows = f"FROM {PUBLISHED} ORDER BY {identifiers(order)}"
    connection.execute(f"COPY ({rows}) TO {literal(str(out))} ({options})")
