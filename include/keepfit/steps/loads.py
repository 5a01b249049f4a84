"""Find rows that were loaded several times, by the counts of a window and of those before."""

from collections.abc import Iterator, Mapping, Sequence
from math import gcd
from typing import TYPE_CHECKING

from keepfit.steps.alike_rows import ALIKE, alike_share
from keepfit.steps.column import column
from keepfit.steps.usual import ENOUGH, beyond

if TYPE_CHECKING:
    from keepfit.backends.sketches import Sketch

_ALIKE = 0.05
_CELLS = 30
"""By chance half of all counts are even, so all of so many are not."""


def repeated_rows(before: "Sequence[Mapping[str, Sketch]]", current: "Mapping[str, Sketch]") -> Iterator[str]:
    """Find rows that were loaded several times: then every count of every column is a multiple."""
    times, cells = _multiple(current)
    rows = max((column(each).rows for each in current.values()), default=0)
    largest = [max((column(each).rows for each in window.values()), default=0) for window in before]
    if times > 1 and cells >= _CELLS and all(_multiple(window)[0] != times for window in before):
        yield (
            f"every row is there {times} times: so is every value of all {len(current)} columns "
            f"({rows:,.0f} rows, in a window before at most {max(largest, default=0):,.0f})"
        )
    elif len(largest) >= ENOUGH and rows > 3 * max(largest) > 0:
        yield f"there are {rows:,.0f} rows, in no window before more than {max(largest):,.0f}"


def alike(before: "Sequence[Mapping[str, Sketch]]", current: "Mapping[str, Sketch]") -> Iterator[str]:
    """Find a part of the rows that was loaded several times."""
    shares = [alike_share(each[ALIKE]) for each in before if ALIKE in each]
    if not shares or ALIKE not in current:
        return
    now, rows = alike_share(current[ALIKE]), float(current[ALIKE].values @ current[ALIKE].counts)
    if beyond(now, [max(shares), *shares], _ALIKE, rows):
        usual = f"in no window before more than {max(shares):.0%}"
        yield f"{now:.0%} of the rows are there more than once, {usual}"


def _multiple(window: "Mapping[str, Sketch]") -> tuple[int, int]:
    """Return what divides every count of a window, and how many counts there are."""
    columns = [column(each) for each in window.values()]
    return gcd(*(each.divisor for each in columns)), sum(len(each.sketch.counts) + 1 for each in columns)
