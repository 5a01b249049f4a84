"""Walk a policy over a matrix: the decisions the live loop would have taken, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from math import fsum
from typing import Self

from keepfit.errors import ReplayError
from keepfit.policy.decide import decide, needs_challenger
from keepfit.policy.history import refused_in_a_row
from keepfit.policy.matrix import Matrix
from keepfit.policy.signals import History, Signals, Verdict
from keepfit.spec.policy import BY_REGRET, PolicySpec


@dataclass(frozen=True)
class Step:
    """One window of a walk."""

    window: int
    champion: int
    """The cut of the model that answered the window."""
    verdict: Verdict
    loss: float | None
    """The champion's; None where the window is not counted, whichever policy walks."""
    passed: bool | None = None
    """Whether the gate let pass the challenger trained at the window's start; None: none was trained."""

    @property
    def trained(self) -> bool:
        """Tell whether a training was paid for whose model could answer from this window on."""
        return self.passed is not None

    def cost(self, price: float) -> float | None:
        """Return the loss and what the training cost; None where the window is not counted."""
        return None if self.loss is None else self.loss + price * self.trained


@dataclass(frozen=True)
class Walk:
    """A policy's way through the windows, from the model of the first cut; or some windows of it."""

    steps: tuple[Step, ...]

    @cached_property
    def loss(self) -> float:
        """The objective, summed over the windows that are counted."""
        return fsum(each.loss for each in self.steps if each.loss is not None)

    @cached_property
    def trainings(self) -> int:
        """How many were paid for; the model of the first cut is everybody's, and so free."""
        return sum(each.trained for each in self.steps)

    @cached_property
    def refusals(self) -> int:
        """How many of the trainings the gate refused."""
        return sum(each.passed is False for each in self.steps)

    @cached_property
    def counted(self) -> int:
        """How many windows have a loss."""
        return sum(each.loss is not None for each in self.steps)

    @property
    def left_out(self) -> int:
        """How many windows are not counted, since a model has no loss there."""
        return len(self.steps) - self.counted

    @property
    def mean_loss(self) -> float:
        """The objective per counted window; NaN where there is none."""
        return self.loss / self.counted if self.counted else float("nan")

    def cost(self, price: float) -> float:
        """Return the loss plus what the trainings cost."""
        return self.loss + price * self.trainings

    def costs(self, price: float) -> list[float | None]:
        """Return the cost by window; None where it is not counted."""
        return [each.cost(price) for each in self.steps]

    def within(self, first: int, last: int) -> Self:
        """Return the windows from `first` up to, not including, `last`, as this policy came to them."""
        return replace(self, steps=tuple(each for each in self.steps if first <= each.window < last))


def span(matrix: Matrix, first: int, last: int | None) -> range:
    """Return the windows from `first` up to, not including, `last`; all that follow when not given.

    Raises:
        ReplayError: There are no such windows.
    """
    until = len(matrix.windows) if last is None else last
    if not 0 <= first < until <= len(matrix.windows):
        raise ReplayError(
            f"{matrix.model}: no windows {first} to {until} to walk over: the matrix has "
            f"{len(matrix.windows)}. Choose 0 <= first < last <= {len(matrix.windows)}."
        )
    return range(first, until)


def counted_windows(matrix: Matrix, windows: range) -> frozenset[int]:
    """Return the windows where every model that may answer them has a loss: the same for all policies."""
    cells = matrix.cells
    return frozenset(at for at in windows if all(cells[cut, at].loss is not None for cut in range(at + 1)))


def walk(policy: PolicySpec, matrix: Matrix, *, gate: bool = True) -> Walk:
    """Take a policy's decisions window by window, as the live loop would, from the model of the first cut.

    No step depends on a window after it. A training after the last window answers none, and is not paid for.

    Args:
        policy: When to train.
        matrix: What was measured.
        gate: Whether a challenger has to pass the gate.
    """
    windows = range(len(matrix.windows))
    counted = counted_windows(matrix, windows)
    so_far, steps, passed = _SoFar(), [], None
    for at in windows:
        loss = matrix.cells[so_far.champion, at].loss
        signals = _as_live(so_far.known(matrix, at), so_far.past, policy)
        verdict = decide(signals, so_far.past, policy, so_far.history)
        steps.append(Step(at, so_far.champion, verdict, loss if at in counted else None, passed))
        passed = None
        if verdict.word == "retrain" and at + 1 < windows.stop:
            passed = not gate or matrix.passes[so_far.champion, at + 1]
        so_far.go_on(at, signals, passed, verdict.trigger)
    return Walk(tuple(steps))


def _as_live(signals: Signals, past: Sequence[Signals], policy: PolicySpec) -> Signals:
    """Take away the regret that the live loop would not have measured, where a rule weighs it."""
    blind = replace(signals, regret=None)
    unasked = not policy.asks("own", *BY_REGRET)
    return signals if unasked or needs_challenger(blind, past, policy) else blind


class _SoFar:
    """What a walk remembers, as the ledger would."""

    def __init__(self) -> None:
        self.champion = 0
        self._trained = 0
        """The cut of the last training, whether or not it passed the gate."""
        self.past: list[Signals] = []
        """Under this champion."""
        self.history = History()
        self._judged: list[tuple[datetime, bool, str]] = []

    def known(self, matrix: Matrix, at: int) -> Signals:
        """Return what is known at a window's end: rows that a refused challenger has seen are not new."""
        signals = matrix.cells[self.champion, at].signals
        if self._trained == self.champion:
            return signals
        return replace(signals, new_rows=matrix.cells[self._trained, at].signals.new_rows)

    def go_on(self, at: int, signals: Signals, passed: bool | None, trigger: str) -> None:
        """Take in what a window brought."""
        self.past.append(signals)
        if passed is None:
            return
        end = signals.window_end
        self._trained = at + 1
        self._judged.append((end, passed, trigger))
        retrained = (*self.history.retrained, end)
        self.history = History(retrained, refused_in_a_row(self._judged, end), fleet=retrained)
        if passed:
            self.champion, self.past = at + 1, []
