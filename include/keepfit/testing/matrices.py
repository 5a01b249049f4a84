"""Matrices for replay, made by hand."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from keepfit.policy import Cell, Champion, Matrix, Signals
from keepfit.spec import Window

START = datetime(2024, 1, 1, tzinfo=UTC)
"""Of the first window: a Monday."""


def matrix(
    windows: int,
    loss: Callable[[int, int], float | None],
    *,
    measured: Callable[[int, int], Mapping[str, Any]] = lambda _cut, _window: {},
    passes: Callable[[int, int], bool] = lambda _champion, _challenger: True,
    every: timedelta = timedelta(days=7),
    kind: str = "expanding",
) -> Matrix:
    """Return a matrix of so many windows.

    Args:
        windows: How many.
        loss: By cut and window.
        measured: Fields of the signals, by cut and window.
        passes: Whether the gate lets the challenger of a cut pass against the champion of another.
        every: A window's length.
        kind: Which rows a training takes.
    """
    spans = tuple(Window(START + at * every, START + (at + 1) * every) for at in range(windows))

    def cell(cut: int, at: int) -> Cell:
        champion = Champion(f"cut-{cut}", START + cut * every)
        known = Signals("hand_made", spans[at].start, spans[at].end, 1000, champion, None, None)
        return Cell(replace(known, **measured(cut, at)), loss(cut, at))

    return Matrix(
        model="hand_made",
        objective="log_loss",
        windows=spans,
        cells={(cut, at): cell(cut, at) for cut in range(windows) for at in range(cut, windows)},
        passes={
            (old, new): passes(old, new) for old in range(windows) for new in range(old + 1, windows + 1)
        },
        kind=kind,
    )
