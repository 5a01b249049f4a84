"""Which of a dataset's published windows still stand, where later ones have replaced others."""

from collections.abc import Iterable

from keepfit.ledger import Publication
from keepfit.spec import Window

Published = tuple[Window, Publication]


def standing(published: Iterable[Published], reach: Window) -> list[Published]:
    """Return what lies around a stretch and no later publication has replaced whole, oldest first."""
    found: list[Published] = []
    for window, each in _around(list(published), reach):
        found = [other for other in found if not window.contains(other[0])]
        found.append((window, each))
    return found


def _around(published: list[Published], reach: Window) -> list[Published]:
    """Return the windows that overlap a stretch, and those that overlap such windows."""
    while True:
        found = [(window, each) for window, each in published if window.overlaps(reach)]
        starts, ends = (window.start for window, _ in found), (window.end for window, _ in found)
        wide = Window(min([reach.start, *starts]), max([reach.end, *ends]))
        if wide == reach:
            return found
        reach = wide
