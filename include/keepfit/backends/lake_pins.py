"""What a published table was made of at a version, and whether it still is."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from keepfit.backends.lake import Lake
from keepfit.backends.model_files import sha256
from keepfit.errors import NotReadyError

_NAMED = 3


@dataclass(frozen=True)
class FilePin:
    """One Parquet file of a table."""

    size: int
    sha256: str


@dataclass(frozen=True)
class TablePin:
    """A table's version and the files that make it up, by their paths within the table."""

    table: str
    version: int
    files: Mapping[str, FilePin]

    @classmethod
    def of(cls, lake: Lake, table: str, version: int) -> Self:
        """Pin a table's version; each of its files is read once."""
        return cls(table, version, {name: _pin(path) for name, path in _files(lake, table, version).items()})

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `as_dict` returned."""
        files = {name: FilePin(**pin) for name, pin in stored["files"].items()}
        return cls(stored["table"], stored["version"], files)

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return asdict(self)

    def differences(self, lake: Lake) -> Iterator[str]:
        """Say what is no longer as pinned; nothing if the version still reads the same bytes."""
        about = f"table {self.table!r} version {self.version}"
        try:
            now = _files(lake, self.table, self.version)
        except NotReadyError as error:
            yield f"{about}: it cannot be opened any more: {error}"
            return
        gone = [name for name in self.files if not (lake.root / self.table / name).exists()]
        if gone:
            yield (
                f"{about}: {len(gone)} of {len(self.files)} files are gone ({_named(gone)}). "
                f"{_why_gone(lake, self.table)} Restore them from a backup."
            )
        for name, pin in self.files.items():
            if name not in gone and _pin(lake.root / self.table / name) != pin:
                yield f"{about}: the file {name} has been changed since. Restore it from a backup."
        if other := sorted(now.keys() ^ self.files.keys()):
            yield f"{about}: its log names other files than were read ({_named(other)})."


def _files(lake: Lake, table: str, version: int) -> dict[str, Path]:
    root = lake.root / table
    paths = (Path(file) for file in lake.files(table, version))
    return dict(sorted((path.relative_to(root).as_posix(), path) for path in paths))


def _pin(path: Path) -> FilePin:
    return FilePin(path.stat().st_size, sha256(path))


def _why_gone(lake: Lake, table: str) -> str:
    if (version := lake.vacuumed(table)) is not None:
        return f"The table was vacuumed at version {version}."
    return "They were deleted by other means than a vacuum."


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
