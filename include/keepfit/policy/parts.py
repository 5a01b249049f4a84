"""The two parts of a history: one to choose a policy on, and one to report it on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import isfinite

from keepfit.errors import ReplayError
from keepfit.policy.matrix import Matrix
from keepfit.policy.oracle import Schedule, oracle
from keepfit.policy.replay import Walk, counted_windows

FEWEST = 4
"""Windows with a loss that each part must have."""


@dataclass(frozen=True)
class Part:
    """Some windows in a row."""

    first: int
    last: int
    """The window after its last."""
    start: datetime
    end: datetime
    best: Schedule
    """The oracle's, which may begin the part with any model trained up to its start, free of charge."""
    counted: int

    def regret(self, walked: Walk, price: float) -> float:
        """Return what a policy cost more than the oracle."""
        return walked.cost(price) - self.best.cost(price)


def parts(matrices: Sequence[Matrix], price: float, split: float) -> tuple[tuple[Matrix, ...], Part, Part]:
    """Cut the windows in two, and take care that all kinds are summed over the same.

    Args:
        matrices: One for each kind of training rows.
        price: Of one training.
        split: The share of the windows in the first part.

    Raises:
        ReplayError: The price or the split is impossible, the windows are too few or differ by kind.
    """
    middle = _checked(matrices, price, split)
    alike = _alike(matrices)
    first, rest = (_part(alike, span, price) for span in _spans(alike[0], middle))
    return alike, first, rest


def _checked(matrices: Sequence[Matrix], price: float, split: float) -> int:
    """Refuse what cannot be chosen on; return the first window to report."""
    if not matrices:
        raise ReplayError("There is no matrix to choose a policy on. Replay at least one kind of training.")
    name, windows = matrices[0].model, matrices[0].windows
    if not (isfinite(price) and price > 0):
        raise ReplayError(
            f"{name}: the cost of a training is {price:g}. Give a number greater than 0, in units of "
            f"{matrices[0].objective} summed over windows: a training that costs nothing is always worth it."
        )
    if not 0 < split < 1:
        raise ReplayError(f"{name}: the split is {split:g}. Give a share between 0 and 1, such as 0.5.")
    for each in matrices[1:]:
        if (each.model, each.objective, each.windows) != (name, matrices[0].objective, windows):
            raise ReplayError(
                f"{name}: the matrix of {each.kind!r} has other windows, or another model or objective, than "
                f"the one of {matrices[0].kind!r}. Replay all kinds over the same history."
            )
    return round(split * len(windows))


def _spans(matrix: Matrix, middle: int) -> tuple[range, range]:
    size = len(matrix.windows)
    both = range(middle), range(middle, size)
    for span, what in zip(both, ("choose on", "report on"), strict=True):
        counted = len(counted_windows(matrix, span)) if span else 0
        if counted < FEWEST:
            raise ReplayError(
                f"{matrix.model}: {counted} of {len(span)} windows to {what} have a loss, and {FEWEST} are "
                f"needed. Replay a longer history or shorter windows, or move the split ({size} windows)."
            )
    return both


def _part(matrices: Sequence[Matrix], span: range, price: float) -> Part:
    found = [oracle(each, price, span.start, span.stop) for each in matrices]
    windows = matrices[0].windows
    return Part(
        first=span.start,
        last=span.stop,
        start=windows[span.start].start,
        end=windows[span.stop - 1].end,
        best=min(found, key=lambda each: each.cost(price)),
        counted=len(counted_windows(matrices[0], span)),
    )


def _alike(matrices: Sequence[Matrix]) -> tuple[Matrix, ...]:
    """Take away each loss that another kind lacks, so that all are summed over the same windows."""
    if len(matrices) == 1:
        return tuple(matrices)
    lacking = {at for matrix in matrices for at, cell in matrix.cells.items() if cell.loss is None}
    return tuple(
        replace(
            matrix,
            cells={
                at: replace(cell, loss=None) if at in lacking else cell for at, cell in matrix.cells.items()
            },
        )
        for matrix in matrices
    )
