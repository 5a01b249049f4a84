"""How Feast's sources map to published tables: which files a view is read from."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import ibis
import pyarrow as pa
from feast.data_format import DeltaFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.duckdb import _read_data_source
from feast.infra.offline_stores.file_source import FileSource
from ibis.expr.types import Table

from keepfit.backends.lake import Lake

KEY_TAG = "keepfit.key"
"""The tag of a source that names the columns of its dataset's key."""
_VERSIONS: ContextVar[Mapping[str, int] | None] = ContextVar("versions", default=None)


@contextmanager
def pinned(versions: Mapping[str, int]) -> Iterator[None]:
    """Read tables as of these versions, by name, whatever is published meanwhile."""
    token = _VERSIONS.set(versions)
    try:
        yield
    finally:
        _VERSIONS.reset(token)


def table_of(source: DataSource | None) -> Path | None:
    """Return the Delta table a source reads, if it reads one."""
    if isinstance(source, FileSource) and isinstance(source.file_format, DeltaFormat):
        return Path(source.path)
    return None


def has_ties(source: DataSource, keys: Iterable[str]) -> bool:
    """Tell whether two rows may have the same key and moment; a published key names one row of a moment."""
    named = (source.tags or {}).get(KEY_TAG)
    return named is None or not {*named.split(",")} <= {*keys, source.timestamp_field}


def files_of(table: Path) -> list[str]:
    """Return a table's Parquet files, at its pinned version if there is one.

    Raises:
        NotReadyError: Nothing has been published to it.
    """
    return Lake(table.parent).files(table.name, _version(table))


def schema_of(table: Path) -> pa.Schema:
    """Return a table's columns."""
    return Lake(table.parent).dataset(table.name, _version(table)).schema


def read_source(source: DataSource, repo_path: str) -> Table:
    """Read a source the way Feast's duckdb store does, and a Delta table without DuckDB's extension."""
    table = table_of(source)
    if table is None:
        return _read_data_source(source, repo_path)
    if files := files_of(table):
        return ibis.read_parquet(files, union_by_name=True)
    return ibis.memtable(schema_of(table).empty_table())


def _version(table: Path) -> int | None:
    return (_VERSIONS.get() or {}).get(table.name)
