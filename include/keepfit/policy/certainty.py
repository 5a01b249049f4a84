"""How sure a difference in cost is: weeks drawn again, several in a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import fsum
from random import Random

CONFIDENCE = 0.9
FEW = 20
"""With fewer windows an interval says little."""
_DRAWS = 2000


@dataclass(frozen=True)
class Difference:
    """What one policy costs more than another over the same windows, and between which it may truly lie."""

    value: float
    low: float
    high: float
    windows: int

    @property
    def told(self) -> str:
        """What may be said of it: `less`, `more`, or `unsure`."""
        if self.high < 0:
            return "less"
        return "more" if self.low > 0 else "unsure"


def difference(costs: Sequence[float | None], others: Sequence[float | None], seed: int = 0) -> Difference:
    """Compare two policies window by window.

    Windows in a row are drawn together, in a ring, since what one costs has to do with the one before.

    Args:
        costs: By window; None where a window is not counted.
        others: The same, of the other policy.
        seed: Of the draws.
    """
    paired = zip(costs, others, strict=True)
    each = [one - other for one, other in paired if one is not None and other is not None]
    if not each:
        return Difference(0.0, 0.0, 0.0, 0)
    drawn = sorted(_draws(each, Random(seed)))  # noqa: S311 - statistics
    tail = int((1 - CONFIDENCE) / 2 * _DRAWS)
    return Difference(fsum(each), drawn[tail], drawn[-1 - tail], len(each))


def _draws(values: Sequence[float], chance: Random) -> list[float]:
    size = len(values)
    block = max(1, round(size ** (1 / 3)))
    sums = list(accumulate((*values, *values), initial=0.0))
    lengths = [block] * (size // block) + ([size % block] if size % block else [])
    return [
        fsum(sums[at + length] - sums[at] for length in lengths for at in (chance.randrange(size),))
        for _ in range(_DRAWS)
    ]
