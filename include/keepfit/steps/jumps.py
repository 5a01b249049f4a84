"""Columns that moved from one window to the next as no two windows before did.

How far that is, a calibration says (`keepfit calibrate`). Where there is none, the windows before do: they
are fewer, so only what is far beyond them counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

from keepfit.steps.calibration import way

if TYPE_CHECKING:
    from keepfit.backends.sketches import Sketch
    from keepfit.steps.calibration import Calibration

WAYS = 3
"""So many ways between windows before say what is usual; with fewer nothing has jumped."""
FURTHER = 3.0
"""A jump is longer, by this factor, than the longest of these ways."""
_LEAST_SPREADS, _LEAST_CATEGORIES = 0.5, 0.2
"""No shorter way is a jump: in standard deviations of numbers, as a distance of categories."""
_FEWEST = 100
"""With fewer values a window says nothing of where a column is."""
_KEPT = 8192


def jumped(
    before: "Sequence[Mapping[str, Sketch]]",
    current: "Mapping[str, Sketch]",
    columns: Sequence[str],
    calibration: "Calibration | None" = None,
) -> Iterator[str]:
    """Yield the columns that jumped in a window.

    Args:
        before: The windows before, oldest first; those that were broken should be left out.
        current: The window.
        columns: Which to look at where nothing is calibrated; what is calibrated is always looked at.
        calibration: How far columns go from one quiet window to the next.
    """
    limits = calibration.jumps if calibration else {}
    for name in dict.fromkeys((*limits, *columns)):
        former = [each[name] for each in before if name in each]
        if not former or name not in current:
            continue
        if calibration and name in limits:
            moved = calibration.distance(former[-1], current[name], name)
            if moved is not None and moved > limits[name]:
                yield name
        elif _is_beyond([each for each in former if each.n >= _FEWEST], current[name]):
            yield name


def _is_beyond(former: "Sequence[Sketch]", current: "Sketch") -> bool:
    """Tell whether a column's way from the window before is beyond all those between windows before."""
    ways = [found for pair in pairwise(former) if (found := _way(*pair)) is not None]
    if len(ways) < WAYS or current.n < _FEWEST:
        return False
    now = _way(former[-1], current)
    return now is not None and now > max(FURTHER * max(ways), _least(former, current))


def _least(former: "Sequence[Sketch]", current: "Sketch") -> float:
    if current.kind == "category":
        return _LEAST_CATEGORIES
    # What never varied has no spread of its own to measure by.
    return _LEAST_SPREADS * (max(each.std for each in former) or current.std)


@lru_cache(_KEPT)
def _way(one: "Sketch", other: "Sketch") -> float | None:
    """Measure in the column's own unit; a replay holds a window against its neighbour for every model."""
    return way(one, other, 1.0)
