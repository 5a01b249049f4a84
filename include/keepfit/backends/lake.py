"""The lake: published tables, each a folder of Parquet files and a log. The only door to deltalake.

A process may not be forked once it has read or written here: Delta's runtime does not survive it.
"""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from keepfit.backends.staged import Staged, logical_types
from keepfit.errors import NotReadyError, SchemaError
from keepfit.spec.window import Window

Columns = Literal["grow", "union", "replace"]
_ATTEMPTS = 60
_LONGEST_WAIT = 1.0
_LOOK_BACK = 500
"""How many commits are searched for one that published the same rows already."""
_WINDOW, _DIGEST, _WHOLE = "keepfit.window", "keepfit.digest", "whole"
_ROW_GROUP = 131_072
"""Delta's own million rows is what it holds in memory of each file, and too coarse to skip by time."""
_HOUSEKEEPING = ("OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES")


@dataclass(frozen=True)
class Publication:
    """What became visible."""

    table: str
    version: int
    """The table's version that holds it."""
    rows: int
    digest: str
    """SHA-256 of the published file."""
    window: Window | None
    """None if it is the whole table."""


class Lake:
    """The published tables under one folder."""

    def __init__(self, root: Path) -> None:
        """Refer to a folder, which need not exist yet."""
        self.root = root

    def exists(self, table: str) -> bool:
        """Tell whether anything was ever published to a table."""
        return bool(DeltaTable.is_deltatable(str(self.root / table)))

    def version(self, table: str) -> int:
        """Return a table's latest version."""
        return int(self._open(table).version())

    def files(self, table: str, version: int | None = None) -> list[str]:
        """List the Parquet files that make up a table, now or at a version."""
        return [unquote(uri) for uri in self._open(table, version).file_uris()]

    def dataset(self, table: str, version: int | None = None) -> ds.Dataset:
        """Return a table's rows, to be scanned."""
        return self._open(table, version).to_pyarrow_dataset()

    def count(self, table: str, within: tuple[str, Window] | None = None) -> int:
        """Count a table's rows, or those whose time, in a column, is within a window."""
        if within is None:
            return int(self.dataset(table).count_rows())
        column, window = within
        time = ds.field(column)
        return int(self.dataset(table).count_rows(filter=(time >= window.start) & (time < window.end)))

    def columns(self, table: str, version: int | None = None) -> dict[str, str]:
        """Return a table's columns with their logical types."""
        return _columns(self._open(table, version))

    def vacuumed(self, table: str) -> int | None:
        """Return the version at which files of old versions were last deleted; None if they never were."""
        ended = (each for each in self._open(table).history() if each.get("operation") == "VACUUM END")
        return next((int(each["version"]) for each in ended), None)

    def publish(
        self,
        table: str,
        file: Path,
        *,
        time_column: str | None = None,
        window: Window | None = None,
        columns: Columns = "grow",
    ) -> Publication:
        """Replace a window's rows by those of a Parquet file, or the whole table without a window.

        The replacement is one commit: readers see all of it or nothing. Publishing what is there already
        changes nothing. Of two that publish at once one commits first, and the other begins again.

        Args:
            table: The table's name; it is made if need be.
            file: The rows, all inside the window.
            time_column: The column that places a row in a window.
            window: What to replace.
            columns: `grow`: columns may be added. `union`: and those missing are null.
                `replace`: the table takes the file's columns, which needs a publication without a window.

        Raises:
            SchemaError: The file lacks columns or has other types, or rows outside the window.
            NotReadyError: Others kept publishing to this table.
        """
        staged = Staged.of(file)
        if window is not None and time_column is not None:
            staged.refuse_strays(table, time_column, window)
        for attempt in range(_ATTEMPTS):
            try:
                return self._attempt(table, staged, time_column, window, columns)
            except _Conflict:
                time.sleep(random.uniform(0, min(_LONGEST_WAIT, 0.01 * 2**attempt)))  # noqa: S311 - jitter
        raise NotReadyError(
            f"Table {table} could not be published in {_ATTEMPTS} attempts: others kept publishing to it. "
            "Try again, or let fewer runs of it go at once."
        )

    def _attempt(
        self, table: str, staged: Staged, time_column: str | None, window: Window | None, columns: Columns
    ) -> Publication:
        if not self.exists(table):
            self._create(table, staged, time_column, window)
            return Publication(table, 0, staged.rows, staged.digest, window)
        delta = self._open(table)
        version = _published_as(delta, staged.digest, window)
        if version is None:
            _refuse_other_columns(table, _columns(delta), staged.columns, columns)
            _replace(delta, staged, time_column, window, columns)
            version = int(delta.version())
        return Publication(table, version, staged.rows, staged.digest, window)

    def _create(self, table: str, staged: Staged, time_column: str | None, window: Window | None) -> None:
        # Old versions stay readable, so that a training set can be rebuilt; by default the log is cut
        # after 30 days. Statistics on the time column: by default one behind 32 others gets none.
        configuration = {"delta.logRetentionDuration": "interval 36500 days"}
        if time_column is not None:
            configuration["delta.dataSkippingStatsColumns"] = time_column
        path = self.root / table
        path.mkdir(parents=True, exist_ok=True)
        try:
            write_deltalake(
                str(path),
                staged.reader(),
                mode="error",
                configuration=configuration,
                writer_properties=_written(),
                commit_properties=_commit(staged.digest, window),
            )
        except DeltaError as error:
            if self.exists(table):
                raise _Conflict from error
            raise

    def _open(self, table: str, version: int | None = None) -> DeltaTable:
        if not self.exists(table):
            raise NotReadyError(f"Nothing of {table!r} is published in {self.root} yet. Ingest it first.")
        try:
            return DeltaTable(str(self.root / table), version=version)
        except DeltaError as error:
            if version is None:
                raise
            latest = DeltaTable(str(self.root / table)).version()
            raise NotReadyError(
                f"Version {version} of {table!r} is not in its log, which ends at {latest}: "
                f"{str(error).strip().splitlines()[0]}"
            ) from error


class _Conflict(Exception):  # noqa: N818 - never leaves this module
    """Someone else committed since this table was read."""


def _replace(
    delta: DeltaTable, staged: Staged, time_column: str | None, window: Window | None, columns: Columns
) -> None:
    where = None
    if window is not None:
        where = f"{time_column} >= '{_utc(window.start)}' AND {time_column} < '{_utc(window.end)}'"
    try:
        write_deltalake(
            delta,
            staged.reader(),
            mode="overwrite",
            predicate=where,
            writer_properties=_written(),
            schema_mode="overwrite" if columns == "replace" else "merge",
            commit_properties=_commit(staged.digest, window),
        )
    except CommitFailedError as error:
        raise _Conflict from error


def _written() -> WriterProperties:
    return WriterProperties(max_row_group_size=_ROW_GROUP)


def _commit(digest: str, window: Window | None) -> CommitProperties:
    # Without retries a commit is a compare-and-set on the version read. With Delta's own, two that
    # publish the first window at once both succeed, and every row is there twice (measured).
    of = {_WINDOW: window.key if window else _WHOLE, _DIGEST: digest}
    return CommitProperties(custom_metadata=of, max_commit_retries=0)


def _published_as(delta: DeltaTable, digest: str, window: Window | None) -> int | None:
    """Return the version at which these rows were published, if nothing has touched their window since."""
    for commit in delta.history(_LOOK_BACK):
        if commit.get("operation") in _HOUSEKEEPING:
            continue
        if _overlaps(commit, window):
            same = (commit.get(_WINDOW), commit.get(_DIGEST)) == (window.key if window else _WHOLE, digest)
            return int(commit["version"]) if same else None
    return None


def _overlaps(commit: Mapping[str, Any], window: Window | None) -> bool:
    key = commit.get(_WINDOW, _WHOLE)
    if key == _WHOLE or window is None:
        return True
    return Window.of_key(key).overlaps(window)


def _refuse_other_columns(
    table: str, published: Mapping[str, str], given: Mapping[str, str], columns: Columns
) -> None:
    if columns == "replace":
        return
    wrong = [
        f"{name} was {kind} and is {given[name]}"
        for name, kind in published.items()
        if name in given and given[name] != kind
    ]
    if columns == "grow":
        wrong += [f"{name} ({kind}) is gone" for name, kind in published.items() if name not in given]
    if wrong:
        raise SchemaError(
            f"Table {table} is published with other columns: {'; '.join(wrong)}. Bring them back, or publish "
            "the dataset anew with full_refresh, which replaces every published window; what reads the "
            "column must change too."
        )


def _columns(delta: DeltaTable) -> dict[str, str]:
    return logical_types(pa.schema(delta.schema().to_arrow()))


def _utc(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}"
