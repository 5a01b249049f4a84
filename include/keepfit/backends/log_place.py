"""Where a model's online predictions lie: a folder here or on S3, with one folder inside for each day.

A file is there whole or not at all: written beside and renamed, and on S3 by one upload.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from keepfit.backends.lock import alone
from keepfit.backends.sources.s3 import is_s3, s3_system
from keepfit.errors import SourceError

_DAY, _FILE, _STAGED = "date=", ".parquet", ".part"
_ABANDONED = timedelta(hours=1)


class LogPlace(Protocol):
    """The folder of one model's log."""

    system: Any
    """The file system that the engine reads it by; None on this machine."""

    def days(self) -> tuple[date, ...]:
        """List the days that hold anything, in their order."""

    def files(self, day: date) -> tuple[str, ...]:
        """List a day's finished files, in the order of their names."""

    def put(self, day: date, name: str, content: bytes) -> None:
        """Write a file of a day, or replace it."""

    def adopt(self, day: date, name: str, file: Path) -> None:
        """Write a file of a day from one on this machine, or replace it."""

    def remove(self, files: tuple[str, ...]) -> None:
        """Remove files, as far as they are still there."""

    def sweep(self, day: date) -> None:
        """Remove what killed processes have left half written."""

    @contextmanager
    def alone(self, day: date) -> Iterator[None]:
        """Keep others on this machine from compacting the day in the block."""


def log_place(place: str, model: str, storage: Mapping[str, Any] | None = None) -> LogPlace:
    """Name the folder of a model's log: `online__<model>` in a folder, or under an `s3://` prefix.

    Raises:
        SourceError: It is on S3 and the `aws` extra is missing.
    """
    folder = f"{place.rstrip('/')}/online__{model}"
    return _OnS3(folder, s3_system(storage or {})) if is_s3(place) else _Here(Path(folder))


class _Here:
    system = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def days(self) -> tuple[date, ...]:
        return _dates(each.name for each in self._folder.glob(f"{_DAY}*"))

    def files(self, day: date) -> tuple[str, ...]:
        return tuple(sorted(str(each) for each in self._of(day).glob(f"[!.]*{_FILE}")))

    def put(self, day: date, name: str, content: bytes) -> None:
        with self._staged(day, name) as staged, staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def adopt(self, day: date, name: str, file: Path) -> None:
        with self._staged(day, name) as staged, file.open("rb") as source, staged.open("wb") as target:
            while block := source.read(1 << 20):
                target.write(block)
            target.flush()
            os.fsync(target.fileno())

    def remove(self, files: tuple[str, ...]) -> None:
        for each in files:
            Path(each).unlink(missing_ok=True)

    def sweep(self, day: date) -> None:
        before = (datetime.now(UTC) - _ABANDONED).timestamp()
        for each in self._of(day).glob(f".*{_STAGED}"):
            with suppress(FileNotFoundError):
                if each.stat().st_mtime < before:
                    each.unlink()

    @contextmanager
    def alone(self, day: date) -> Iterator[None]:
        with alone(self._folder / f".{_DAY}{day}.lock"):
            yield

    @contextmanager
    def _staged(self, day: date, name: str) -> Iterator[Path]:
        folder = self._of(day)
        folder.mkdir(parents=True, exist_ok=True)
        staged = folder / f".{name}.{uuid4().hex}{_STAGED}"
        try:
            yield staged
            os.replace(staged, folder / f"{name}{_FILE}")
        finally:
            with suppress(OSError):
                staged.unlink()

    def _of(self, day: date) -> Path:
        return self._folder / f"{_DAY}{day}"


class _OnS3:
    def __init__(self, folder: str, system: Any) -> None:
        self._folder = folder
        self.system = system

    def days(self) -> tuple[date, ...]:
        with _telling(self._folder):
            return _dates(each.rsplit("/", 1)[-1] for each in self.system.glob(f"{self._folder}/{_DAY}*"))

    def files(self, day: date) -> tuple[str, ...]:
        with _telling(self._folder):
            return tuple(sorted(f"s3://{each}" for each in self.system.glob(f"{self._of(day)}/*{_FILE}")))

    def put(self, day: date, name: str, content: bytes) -> None:
        with _telling(self._folder):
            self.system.pipe_file(f"{self._of(day)}/{name}{_FILE}", content)

    def adopt(self, day: date, name: str, file: Path) -> None:
        with _telling(self._folder):
            self.system.put_file(str(file), f"{self._of(day)}/{name}{_FILE}")

    def remove(self, files: tuple[str, ...]) -> None:
        for each in files:
            with _telling(self._folder), suppress(FileNotFoundError):
                self.system.rm_file(each)

    def sweep(self, day: date) -> None:
        """Do nothing: an upload that was cut off leaves no file."""

    @contextmanager
    def alone(self, day: date) -> Iterator[None]:  # noqa: ARG002 - S3 knows no locks
        yield

    def _of(self, day: date) -> str:
        return f"{self._folder}/{_DAY}{day}"


@contextmanager
def _telling(folder: str) -> Iterator[None]:
    """Say where S3 failed and what to look at, whatever network, credentials and botocore come up with."""
    try:
        yield
    except Exception as error:
        raise SourceError(
            f"The prediction log at {folder} cannot be reached: {error}. Check that the bucket of "
            "`serving.log_to` in feature_repo/keepfit.yaml exists, and that the credentials may list, read, "
            "write and delete there: those of `serving.log_connection`, else AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY or what else the machine has."
        ) from error


def _dates(names: Iterator[str]) -> tuple[date, ...]:
    return tuple(sorted(date.fromisoformat(each.removeprefix(_DAY)) for each in names))
