"""What replay walks over: every model trained at a cut, held against every window after it."""

from collections.abc import Mapping
from dataclasses import dataclass

from keepfit.policy.signals import Signals
from keepfit.spec.window import Window


@dataclass(frozen=True)
class Cell:
    """A window under the model of one cut."""

    signals: Signals
    """What the live loop would know at the window's end if this model were champion."""
    loss: float | None
    """The objective on the rows of the window, turned so that lower is better; None where it has none."""


@dataclass(frozen=True)
class Matrix:
    """Trained at s, scored at t.

    Cut 0 is the start of the first window, and cut i the end of window i - 1. The model of cut s answers the
    windows from s on, so the cells are (s, t) with s <= t.
    """

    model: str
    objective: str
    windows: tuple[Window, ...]
    cells: Mapping[tuple[int, int], Cell]
    """By cut and window."""
    passes: Mapping[tuple[int, int], bool]
    """Whether the gate lets the challenger of the later cut take the place of the champion of the earlier."""
    kind: str = "expanding"
    """Which rows a training takes."""
