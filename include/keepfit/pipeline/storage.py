"""Tells of a disk that is full and of files that vanish, whatever library meets them."""

import errno
import functools
import re
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from keepfit.errors import SourceError, StorageError

P = ParamSpec("P")
T = TypeVar("T")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_SAID = re.compile(
    r"no space left on device|disk quota exceeded|file too large|os error (28|122|27)\b", re.IGNORECASE
)
_GONE_SAID = re.compile(
    r"no files found that match|no such file or directory|object at location .* not found", re.IGNORECASE
)


def tells_of_storage(step: Callable[P, T]) -> Callable[P, T]:
    """Let a step say so when the disk is full, or when a published file vanishes while it is read.

    Each library has its own error for it, and some of ours would blame the SQL. Nothing is half published:
    results and tables become visible by one rename or commit.
    """

    @functools.wraps(step)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return step(*args, **kwargs)
        except Exception as error:
            if said := _said(error, _is_full):
                raise StorageError(
                    f"{step.__name__}: the disk is full: {said}. What was published before stays as it is. "
                    "Make room, or name a larger disk as `home` in feature_repo/keepfit.yaml, and run again."
                ) from error
            if not isinstance(error, SourceError) and (said := _said(error, _is_gone)):
                raise StorageError(
                    f"{step.__name__}: a file of a published table vanished while it was read: {said}. Was "
                    "the table vacuumed, or a file deleted? Run it again to read the newest version; if that "
                    "lacks the file too, restore it from a backup, or ingest the window again."
                ) from error
            raise

    return told


def _said(error: BaseException, test: Callable[[BaseException], bool]) -> str | None:
    """Return the first line of the innermost error that passes a test."""
    said = [str(each).strip().splitlines()[0] for each in _chain(error) if test(each)]
    return said[-1] if said else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_full(error: BaseException) -> bool:
    return getattr(error, "errno", None) in _FULL or bool(_FULL_SAID.search(str(error)))


def _is_gone(error: BaseException) -> bool:
    return ".parquet" in str(error) and bool(_GONE_SAID.search(str(error)))
