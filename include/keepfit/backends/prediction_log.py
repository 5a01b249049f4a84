"""The prediction log: what was asked online, which features were used, what was answered, by which version.

Rows lie in Parquet files by day, `online__<model>/date=YYYY-MM-DD/`. Asking never waits for the disk: a
thread writes what came since it last did. One log belongs to one process and one set of features; any
number of them write side by side.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import groupby, islice
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.backends.log_place import LogPlace, log_place
from keepfit.backends.log_rows import Entry, LogTable
from keepfit.errors import KeepfitError

__all__ = ["Entry", "PredictionLog"]
_LONGEST_WAIT = 30.0
_FILE_ROWS = 20_000
_log = logging.getLogger(__name__)


class PredictionLog:
    """Collects rows, and writes them from a thread of its own every so many seconds or rows."""

    def __init__(
        self,
        place: str,
        model: str,
        *,
        features: Mapping[str, str],
        keys: Mapping[str, str],
        seconds: float = 2.0,
        rows: int = 10_000,
        most: int = 100_000,
        storage: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """Start the thread; nothing is written before the first rows come.

        Args:
            place: A folder, or an `s3://` prefix.
            model: The model's name.
            features: The features and their types, in the order of `Entry.features`.
            keys: The key's columns and their types.
            seconds: How long a row waits before it is written.
            rows: How many rows are written without waiting for that.
            most: How many rows are kept while nothing can be written; then the oldest are lost.
            storage: Gives the options for an `s3://` place, as a source's connection does. The thread asks
                for them at its start, and again after each failure: credentials run out.

        Raises:
            FeatureStoreError: A feature or key has a name that the log needs itself.
        """
        self._table = LogTable(keys, features)
        self._opened: LogPlace | None = None
        self._open: Callable[[], LogPlace] = lambda: log_place(place, model, storage())
        self._seconds, self._rows, self._most = seconds, rows, max(most, rows)
        self._waiting: deque[Entry] = deque()
        self._writing: deque[Entry] = deque()
        self._lock, self._wake, self._closed = threading.Lock(), threading.Event(), False
        self.lost = 0
        """How many rows were given up."""
        self.problem: str | None = None
        """Why the last try to write failed; None if it did not."""
        self._writer = threading.Thread(target=self._run, name=f"log-{model}", daemon=True)
        self._writer.start()

    @property
    def pending(self) -> int:
        """How many rows are not written yet."""
        return len(self._waiting) + len(self._writing)

    @property
    def oldest_pending_at(self) -> datetime | None:
        """When the oldest row that is not written yet was asked for."""
        with self._lock:
            oldest = next(iter(self._writing or self._waiting), None)
        return oldest.at if oldest else None

    @property
    def keys(self) -> tuple[str, ...]:
        """Name the columns of a row's key."""
        return self._table.keys

    def keyed(self, key: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row's key as it is logged; see `LogTable.keyed`."""
        return self._table.keyed(key)

    def append(self, entry: Entry) -> None:
        """Take a row.

        Raises:
            ValueError: It has not as many features as the log.
        """
        if len(entry.features) != len(self._table.features):
            raise ValueError(f"{len(entry.features)} features for {len(self._table.features)} columns.")
        with self._lock:
            self._waiting.append(entry)
            full = len(self._waiting) == self._rows
            self._give_up_oldest()
        if full:
            self._wake.set()

    def close(self, timeout: float = 10.0) -> None:
        """Write what is left, trying once, and stop; what cannot be written is lost."""
        self._closed = True
        self._wake.set()
        self._writer.join(timeout)

    def _run(self) -> None:
        wait = self._wait_after(self._seconds)
        while not self._closed:
            self._wake.wait(wait)
            self._wake.clear()
            wait = self._wait_after(wait)
        if not self._flush():
            with self._lock:
                self.lost += len(self._waiting)
                self._waiting.clear()
            _log.error("%s rows of the prediction log are lost: %s", self.lost, self.problem)

    def _wait_after(self, wait: float) -> float:
        return self._seconds if self._flush() else min(2 * wait, max(_LONGEST_WAIT, self._seconds))

    def _flush(self) -> bool:
        with self._lock:
            self._waiting, self._writing = deque(), self._waiting
        try:
            self._opened = self._opened or self._open()
            self._write(self._opened, self._writing)
        except Exception as error:  # noqa: BLE001 - whatever a disk or a network comes up with
            self._opened = None
            self._put_back(
                str(error) if isinstance(error, KeepfitError) else f"{type(error).__name__}: {error}"
            )
            return False
        if self.problem is not None and self._writing:
            _log.warning("The prediction log is written again; %s rows were lost.", self.lost)
            self.problem = None
        self._writing = deque()
        return True

    def _put_back(self, problem: str) -> None:
        if self.problem is None:
            _log.warning("The prediction log cannot be written, and is tried again: %s", problem)
        with self._lock:
            self.problem = problem
            self._writing.extend(self._waiting)
            self._waiting, self._writing = self._writing, deque()
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        while len(self._waiting) > self._most:
            self._waiting.popleft()
            self.lost += 1

    def _write(self, place: LogPlace, entries: deque[Entry]) -> None:
        for day, of_day in groupby(sorted(entries, key=lambda each: each.at), key=lambda each: each.day):
            for some in _files(of_day):
                sink = pa.BufferOutputStream()
                pq.write_table(self._table.of(some), sink, compression="zstd")
                # A new name at each try: a row that is in two files counts once for who reads them.
                place.put(day, uuid4().hex, sink.getvalue().to_pybytes())


def _files(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while some := list(islice(entries, _FILE_ROWS)):
        yield some
