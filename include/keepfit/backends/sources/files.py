"""Parquet and CSV files, on disk or on S3, one or many by a glob. Registered as the source `files`."""

import shutil
import zipfile
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import Literal

from keepfit.backends.engine import Connection, columns_of, engine, scan
from keepfit.backends.sources.conform import copy_conforming, explained, refuse_missing
from keepfit.backends.sources.s3 import S3, is_s3, s3_files
from keepfit.errors import SourceError
from keepfit.plugins import SourceRequest
from keepfit.spec.dataset import FilesSource

Format = Literal["parquet", "csv"]
_FORMATS: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
}
_PACKED = (".gz", ".zst")


def extract_files(request: SourceRequest) -> None:
    """Write the window's rows of files as Parquet; the window's filter goes down into the scan.

    In CSV, an empty field and NA are missing values. A `.zip` is unpacked first.
    """
    source = request.dataset.source
    if not isinstance(source, FilesSource):
        raise SourceError(
            f"Dataset {request.dataset.name} has no files, but a source of type {source.type!r}."
        )
    with engine(request.engine, request.scratch) as connection:
        files = _located(connection, source, request)
        format_ = _format(source, files)
        with explained(request.dataset):
            for file in files:
                refuse_missing(request.dataset, columns_of(connection, scan([file], format_)), file)
        single = {file: scan([file], format_) for file in files}
        copy_conforming(
            connection, scan(files, format_), request.dataset, request.window, request.out, files=single
        )


def _located(connection: Connection, source: FilesSource, request: SourceRequest) -> list[str]:
    where, s3 = source.path, None
    if is_s3(where):
        s3 = s3_files(where, request.access.storage(source.connection))
        connection.register_filesystem(s3.system)
        found = s3.files
    else:
        where = str(request.root / where)
        found = sorted(path for path in glob(where, recursive=True) if Path(path).is_file())  # noqa: PTH207
    files = [file for each in found for file in _unpacked(each, s3, request.scratch)]
    if not files:
        raise SourceError(
            f"Dataset {request.dataset.name}: no file matches {where}. Put the files there, or correct "
            f"`source.path` in datasets/{request.dataset.name}.yaml (it begins at the project's root)."
        )
    return files


def _unpacked(file: str, s3: S3 | None, scratch: Path) -> Iterator[str]:
    if not file.endswith(".zip"):
        yield file
        return
    with s3.system.open(file) if s3 else Path(file).open("rb") as packed:
        try:
            archive = zipfile.ZipFile(packed)
        except zipfile.BadZipFile as error:
            raise SourceError(f"{file} is no zip archive, or not a whole one: {error}.") from None
        for number, member in enumerate(each for each in archive.namelist() if Path(each).suffix in _FORMATS):
            out = scratch / f"{Path(file).stem}-{number}{Path(member).suffix}"
            with archive.open(member) as inside, out.open("wb") as outside:
                shutil.copyfileobj(inside, outside)
            yield str(out)


def _format(source: FilesSource, files: list[str]) -> Format:
    if source.format is not None:
        return source.format
    endings = [ending for ending in Path(files[0]).suffixes if ending not in _PACKED]
    ending = endings[-1] if endings else ""
    if ending not in _FORMATS:
        raise SourceError(
            f"{files[0]} ends in neither .parquet nor .csv. Say which it is with `source.format`."
        )
    return _FORMATS[ending]
