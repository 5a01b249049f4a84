"""What every policy must hold to."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from keepfit.policy import (
    Champion,
    DriftSignal,
    Finding,
    PerformanceSignal,
    Policy,
    RegretSignal,
    Score,
    Signals,
)

TRAINED = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = timedelta(weeks=1)


def week(number: int, **changes: Any) -> Signals:
    """Return what is known about a quiet week of a champion, the first of which is number 1."""
    quiet = Signals(
        model="churn",
        window_start=TRAINED + (number - 1) * WEEK,
        window_end=TRAINED + number * WEEK,
        rows=6500,
        champion=Champion("3", TRAINED),
        performance=PerformanceSignal("log_loss", False, 6213, 0.4581, 0.4420, noise=0.006),
        drift=DriftSignal(6500, 20, ("visits",), 0.05, weighted=Score(0.08, 0.05, "")),
        prediction=Score(0.04, 0.03, ""),
        regret=RegretSignal(0.001, 0.004, 6213),
        calibration=Score(0.01, 0.008, ""),
        estimate=Score(0.45, 0.01, ""),
        new_rows=6213 * number,
    )
    return replace(quiet, **changes)


def blind_week(number: int) -> Signals:
    """Return a week about which nothing could be measured."""
    return week(
        number,
        champion=Champion("3", None),
        performance=PerformanceSignal("log_loss", False, 0, None, 0.4420, "no labels yet"),
        drift=DriftSignal(6500, 0, (), None, "too few rows"),
        prediction=Score(),
        regret=None,
        calibration=Score(),
        estimate=Score(),
        new_rows=None,
    )


def decay(number: int) -> Signals:
    """Return a week of a champion that does worse week by week."""
    loss = 0.4420 + 0.02 * number
    return week(
        number,
        performance=PerformanceSignal("log_loss", False, 6213, loss, 0.4420, noise=0.006),
        drift=DriftSignal(6500, 20, tuple("abcdefghijkl"), 0.6, weighted=Score(0.9, 0.05, "")),
        prediction=Score(0.5, 0.03, ""),
        regret=RegretSignal(0.02 * number, 0.004, 6213),
    )


HISTORIES: tuple[Sequence[Signals], ...] = (
    (week(1),),
    (blind_week(1),),
    tuple(week(number) for number in range(1, 7)),
    tuple(decay(number) for number in range(1, 7)),
    (blind_week(1), week(2), blind_week(3)),
    (week(1), decay(4)),
)
"""Windows of one champion as a policy may be shown them: quiet, unknown, in decay, with gaps."""


class PolicyTests(ABC):
    """Inherit from this, return your policy, and pytest runs the contract on it."""

    @property
    @abstractmethod
    def policy(self) -> Policy:
        """The policy under test."""

    def test_it_gives_a_finding_with_words_whatever_it_is_shown(self) -> None:
        """Also of one window, of gaps, and where nothing could be measured."""
        for seen in HISTORIES:
            found = self.policy(seen)
            assert isinstance(found, Finding)
            assert found.fires in (True, False, None)
            assert found.trigger
            assert found.text

    def test_the_same_windows_get_the_same_answer(self) -> None:
        """The live loop and replay both ask: no clock, no chance, nothing remembered."""
        for seen in HISTORIES:
            assert self.policy(seen) == self.policy(list(seen))

    def test_windows_read_back_from_the_ledger_get_the_same_answer(self) -> None:
        """The windows before the last come from the ledger, where they are JSON."""
        for seen in HISTORIES:
            stored = [Signals.of_json(json.loads(json.dumps(each.to_json()))) for each in seen]
            assert self.policy(stored) == self.policy(seen)

    def test_it_remembers_nothing(self) -> None:
        """Windows are decided about late and out of order, too."""
        for seen in HISTORIES:
            parts = [seen[:at] for at in range(1, len(seen) + 1)]
            forwards = [self.policy(part) for part in parts]
            assert [self.policy(part) for part in reversed(parts)] == forwards[::-1]
