"""Locks the kernel gives back when their holder dies, however it dies."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self


class Lock:
    """A lock on a file: many may share it, or one may hold it alone.

    Programs started by the holder do not inherit it; processes it forks do, until they end.
    """

    def __init__(self, path: Path) -> None:
        """Open the lock's file, without taking the lock."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self) -> None:
        """Wait until nobody else holds it, then hold it alone."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def try_take(self, within: float = 0.0) -> bool:
        """Hold it alone, or answer False because someone else holds it all these seconds."""
        end = time.monotonic() + within
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    return False
                time.sleep(0.05)
            else:
                return True

    def share(self) -> None:
        """Hold it together with others who share it."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def close(self) -> None:
        """Give it back."""
        os.close(self._file)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait for a lock and hold it in the block."""
    with Lock(path) as lock:
        lock.take()
        yield


def is_held(path: Path) -> bool:
    """Tell whether anyone holds a lock; whoever wants it in this instant is kept waiting for that long."""
    if not path.exists():
        return False
    with Lock(path) as lock:
        return not lock.try_take()
