"""How Feast's sources map to published tables: which files a view is read from."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.dataset as ds
from feast.data_format import DeltaFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.duckdb import _read_data_source
from feast.infra.offline_stores.file_source import FileSource
from ibis.expr.types import Table

from keepfit.backends.feature_store.files import SourceFiles, parquet_files
from keepfit.backends.lake import Lake
from keepfit.backends.sources.s3 import is_s3

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


def source_files(source: DataSource | None, repo: Path) -> SourceFiles | None:
    """Return the files of a table on this machine or of plain Parquet; nothing for other kinds of source."""
    table = table_of(source)
    if source is None or table is None:
        return parquet_files(source, repo)
    return None if is_s3(str(source.path)) else SourceFiles(files_of(table), schema_of(table))


def read_source(source: DataSource, repo_path: str) -> Table:
    """Read a source the way Feast's duckdb store does, without the extensions that DuckDB downloads."""
    found = source_files(source, Path(repo_path))
    if found is None:
        return _read_data_source(source, repo_path)
    if not found.files:
        return ibis.memtable(found.schema.empty_table())
    if found.system is None:
        return ibis.read_parquet(found.files, union_by_name=True)
    paths = [file.removeprefix("s3://") for file in found.files]
    return ibis.memtable(ds.dataset(paths, found.schema, filesystem=found.system))


def _version(table: Path) -> int | None:
    return (_VERSIONS.get() or {}).get(table.name)
