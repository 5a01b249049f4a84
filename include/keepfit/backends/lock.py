"""One at a time, on this machine; a lock whose holder dies is free again."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_PAUSE = 0.05


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until nobody else holds the file's lock, and hold it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def alone_within(path: Path, seconds: float) -> Iterator[bool]:
    """Hold the file's lock if it is free in time; tell whether it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + seconds
    with path.open("w") as file:
        while not (held := _locked(file)) and time.monotonic() < until:
            time.sleep(_PAUSE)
        yield held


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def sign_of_life(path: Path) -> Iterator[None]:
    """Keep a locked file while at work: the lock ends with its process, however that ends."""
    while True:
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not path.exists():
                continue  # Somebody took the file, not locked yet, for a dead one's.
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


@contextmanager
def if_dead(path: Path) -> Iterator[bool]:
    """Tell whether no process that lives keeps this sign of life; if so, none does until the block ends."""
    if not path.exists():
        yield True
        return
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
        path.unlink(missing_ok=True)
