"""Many small files of a day's predictions become one; readers find each row all the while."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from keepfit.backends.engine import engine, literal, reading
from keepfit.backends.log_place import LogPlace, log_place
from keepfit.backends.log_rows import ASKED_AT, LOG_ID
from keepfit.spec.project import EngineSpec


@dataclass(frozen=True)
class Compacted:
    """How many files a day had, and has."""

    before: int
    after: int


def compact(
    place: str,
    model: str,
    day: date,
    *,
    bounds: EngineSpec,
    scratch: Path,
    storage: Mapping[str, Any] | None = None,
) -> Compacted:
    """Put a day's files together, each row once.

    The one file is there before the others go, so a process that is killed in between leaves rows that are
    there twice, never none; they count once for who reads by `log_id`, and the next time makes one of them.
    What is logged meanwhile lies in files of its own.

    Args:
        place: The folder or `s3://` prefix of the log.
        model: The model.
        day: The day, in UTC.
        bounds: The engine's memory and threads.
        scratch: A folder for what does not fit into memory, and for the file that is made.
        storage: Options for an `s3://` place.
    """
    at = log_place(place, model, storage)
    if not at.files(day):
        return Compacted(0, 0)
    with at.alone(day):
        at.sweep(day)
        files = at.files(day)
        if len(files) > 1:
            merged = scratch / f"{_name(files)}.parquet"
            _merge(at, files, merged, bounds, scratch)
            at.adopt(day, merged.stem, merged)
            merged.unlink()
            at.remove(files)
        return Compacted(len(files), len(at.files(day)))


def logged_days(place: str, model: str, storage: Mapping[str, Any] | None = None) -> tuple[date, ...]:
    """List the days of a model's log."""
    return log_place(place, model, storage).days()


def each_once(files: Sequence[str]) -> str:
    """Write the query for the rows of files, each once."""
    listed = ", ".join(literal(each) for each in files)
    rows = f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
    number = f"row_number() OVER (PARTITION BY {LOG_ID} ORDER BY {ASKED_AT})"
    return f"SELECT * FROM {rows} QUALIFY {number} = 1"


def _merge(at: LogPlace, files: Sequence[str], out: Path, bounds: EngineSpec, scratch: Path) -> None:
    with engine(bounds, scratch) as connection, reading(connection, at.system):
        connection.execute(
            f"COPY (SELECT * FROM ({each_once(files)}) ORDER BY {ASKED_AT}, {LOG_ID}) "
            f"TO {literal(str(out))} (FORMAT parquet, COMPRESSION zstd)"
        )


def _name(files: Sequence[str]) -> str:
    """Name the file made of others by them: two that make it at once make the same."""
    return hashlib.sha256("\n".join(Path(each).name for each in files).encode()).hexdigest()[:32]
