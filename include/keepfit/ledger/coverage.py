"""Which stretches of time a dataset's publications cover together, and which they leave out."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise

from keepfit.ledger.records import Publication
from keepfit.spec import Window


def spans(publications: Iterable[Publication]) -> tuple[Window, ...]:
    """Join published windows that touch or overlap, in order; a snapshot has no window."""
    joined: list[Window] = []
    windows = (Window(p.window_start, p.window_end) for p in publications if p.window_start and p.window_end)
    for window in sorted(windows):
        if joined and window.start <= joined[-1].end:
            joined[-1] = Window(joined[-1].start, max(joined[-1].end, window.end))
        else:
            joined.append(window)
    return tuple(joined)


def gaps(covered: Sequence[Window]) -> tuple[Window, ...]:
    """Return what lies between stretches that are in order."""
    return tuple(Window(earlier.end, later.start) for earlier, later in pairwise(covered))


def share(covered: Iterable[Window], window: Window) -> float:
    """Tell how much of a window is covered by stretches that do not overlap, from 0 to 1."""
    shared = (min(each.end, window.end) - max(each.start, window.start) for each in covered)
    return sum((each for each in shared if each > timedelta()), timedelta()) / (window.end - window.start)
