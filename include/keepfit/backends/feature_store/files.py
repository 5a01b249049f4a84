"""Which Parquet files a Feast source is made of: a file, a directory or a glob, here or on S3."""

from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.file_source import FileSource

from keepfit.backends.sources.s3 import is_s3, s3_files
from keepfit.errors import FeatureStoreError


@dataclass(frozen=True)
class SourceFiles:
    """Parquet files with their columns, and the file system they are on if it is not this machine's."""

    files: list[str]
    schema: pa.Schema
    system: Any = None


def parquet_files(source: DataSource | None, repo: Path) -> SourceFiles | None:
    """Return the files of a source of plain Parquet, or nothing when it is of another kind.

    Raises:
        FeatureStoreError: There are no files where the source says.
    """
    if not isinstance(source, FileSource) or not isinstance(source.file_format, ParquetFormat | None):
        return None
    if is_s3(source.path):
        return _on_s3(source)
    files = _some(_matching(repo / source.path), source)
    return SourceFiles(files, pq.read_schema(files[0]))


def _matching(path: Path) -> list[str]:
    if path.is_dir():
        return sorted(str(file) for file in path.rglob("*.parquet"))
    if has_magic(str(path)):
        return sorted(glob(str(path), recursive=True))  # noqa: PTH207 - the pattern may be absolute
    return [str(path)] if path.exists() else []


def _on_s3(source: FileSource) -> SourceFiles:
    keys = source.resolve_credentials() or {}
    storage = {
        "key": keys.get("AWS_ACCESS_KEY_ID"),
        "secret": keys.get("AWS_SECRET_ACCESS_KEY"),
        "token": keys.get("AWS_SESSION_TOKEN"),
        "endpoint_url": source.s3_endpoint_override or None,
    }
    path = source.path if has_magic(source.path) or source.path.endswith(".parquet") else f"{source.path}/**"
    found = s3_files(path, {name: value for name, value in storage.items() if value})
    files = _some([file for file in found.files if file.endswith(".parquet")], source)
    schema = pq.read_schema(files[0].removeprefix("s3://"), filesystem=found.system)
    return SourceFiles(files, schema, found.system)


def _some(files: list[str], source: FileSource) -> list[str]:
    if files:
        return files
    raise FeatureStoreError(
        f"The source {source.name!r} has no Parquet files at {source.path}. Put them there, or correct "
        "its path; a relative one begins at the folder of feature_store.yaml."
    )
