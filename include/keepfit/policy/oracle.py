"""The best anyone could have done who knew the future: by dynamic programming, exact."""

from dataclasses import dataclass
from itertools import accumulate
from math import fsum, inf

from keepfit.errors import ReplayError
from keepfit.policy.matrix import Matrix
from keepfit.policy.replay import counted_windows, span


@dataclass(frozen=True)
class Schedule:
    """When to train, known afterwards."""

    cuts: tuple[int, ...]
    """Where it trained, but for the model it begins with."""
    champions: tuple[int, ...]
    """By window, the cut of the model that answered it."""
    losses: tuple[float | None, ...]
    """By window; None where it is not counted."""

    @property
    def trainings(self) -> int:
        """How many were paid for."""
        return len(self.cuts)

    @property
    def loss(self) -> float:
        """The objective, summed over the windows that are counted."""
        return fsum(each for each in self.losses if each is not None)

    def cost(self, price: float) -> float:
        """Return the loss plus what the trainings cost."""
        return self.loss + price * self.trainings


def oracle(matrix: Matrix, price: float, first: int = 0, last: int | None = None) -> Schedule:
    """Find the cheapest schedule of all: no walk costs less on these windows, whatever it did before them.

    It may begin with any model trained up to the first window's start, free of charge, train at any boundary
    after that, and needs no gate. At the same cost it trains less often.

    Args:
        matrix: What was measured.
        price: Of one training, in units of the objective summed over windows.
        first: The first window.
        last: The window to stop before; the matrix's end when not given.

    Raises:
        ReplayError: There are no such windows, or a training would cost less than nothing.
    """
    if not 0 <= price < inf:
        raise ReplayError(f"{matrix.model}: a training costs {price}. Give a number of 0 or more.")
    windows = span(matrix, first, last)
    sums = _sums(matrix, windows)
    # By boundary: the least cost of the windows before it, the trainings, and the last cut.
    best: dict[int, tuple[float, int, int]] = {}
    for end in range(first + 1, windows.stop + 1):
        free = [(sums[cut][end - first], 0, cut) for cut in range(first + 1)]
        paid = [
            (best[cut][0] + sums[cut][end - cut] + price, best[cut][1] + 1, cut)
            for cut in range(first + 1, end)
        ]
        best[end] = min(free + paid)
    return _schedule(matrix, windows, _back(best, windows))


def frontier(matrix: Matrix, most: int, first: int = 0, last: int | None = None) -> tuple[float, ...]:
    """Return the least loss with 0, 1, ... up to `most` trainings at their best times, without a gate.

    Raises:
        ReplayError: There are no such windows.
    """
    windows = span(matrix, first, last)
    sums, size = _sums(matrix, windows), len(windows)
    least = [min(sums[cut][end] for cut in range(first + 1)) for end in range(size + 1)]
    found = [least[size]]
    for _ in range(min(most, size - 1)):
        more = [
            min((least[cut] + sums[first + cut][end - cut] for cut in range(1, end)), default=least[end])
            for end in range(size + 1)
        ]
        least = [min(both) for both in zip(least, more, strict=True)]
        found.append(least[size])
    return tuple(found)


def _sums(matrix: Matrix, windows: range) -> dict[int, list[float]]:
    """Return the loss of each cut's model over the first 0, 1, 2, ... of these windows that it can answer."""
    counted = counted_windows(matrix, windows)
    return {
        cut: list(
            accumulate(
                (
                    (matrix.cells[cut, at].loss or 0.0) if at in counted else 0.0
                    for at in range(max(cut, windows.start), windows.stop)
                ),
                initial=0.0,
            )
        )
        for cut in range(windows.stop)
    }


def _back(best: dict[int, tuple[float, int, int]], windows: range) -> tuple[int, ...]:
    cuts, at = [], windows.stop
    while at > windows.start:
        at = best[at][2]
        cuts.append(at)
    return tuple(reversed(cuts))


def _schedule(matrix: Matrix, windows: range, cuts: tuple[int, ...]) -> Schedule:
    counted = counted_windows(matrix, windows)
    champions = tuple(max(cut for cut in cuts if cut <= at) for at in windows)
    losses = tuple(
        matrix.cells[cut, at].loss if at in counted else None
        for at, cut in zip(windows, champions, strict=True)
    )
    return Schedule(cuts[1:], champions, losses)
