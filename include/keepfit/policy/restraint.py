"""What holds a training back that a rule calls for."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain

from keepfit.policy.history import is_signal
from keepfit.policy.signals import FleetLimit, History, Signals
from keepfit.policy.wording import days
from keepfit.spec.policy import PolicySpec


def restraint(
    trigger: str, signals: Signals, policy: PolicySpec, history: History, fleet: FleetLimit
) -> str | None:
    """Say why a training that a rule, the trigger, calls for has to wait; None when it need not.

    Distances in time count both ways: a window worked off late must not slip between two others.
    """
    spacing = _spacing(signals, policy, history, fleet)
    return next(chain(spacing, _breaker(trigger, signals.window_end, policy, history)), None)


def _spacing(signals: Signals, policy: PolicySpec, history: History, fleet: FleetLimit) -> Iterator[str]:
    end = signals.window_end
    as_of = signals.champion.as_of if signals.champion else None
    if as_of is not None and as_of >= end:
        yield f"the champion was trained as of {as_of:%Y-%m-%d %H:%M}, not before this window's end"
    if end in history.retrained:
        yield (
            f"another policy asked for a training after the window ending {end:%Y-%m-%d %H:%M} already, "
            "and one window starts one training"
        )
    nearest = min(history.retrained, key=lambda other: (abs(end - other), other), default=None)
    if nearest is not None and abs(end - nearest) < policy.cooldown:
        yield (
            f"cool-down of {days(policy.cooldown)}: the window ending {nearest:%Y-%m-%d} "
            f"asked for a training, {days(abs(end - nearest))} away"
        )
    spent = _within(history.retrained, end, policy.budget_period)
    if policy.budget is not None and spent >= policy.budget:
        yield f"budget: {spent} of {policy.budget} trainings in {days(policy.budget_period)} are spent"
    period = timedelta(days=fleet.period_days)
    spent = _within(history.fleet, end, period)
    if fleet.budget is not None and spent >= fleet.budget:
        yield f"the fleet's budget: {spent} of {fleet.budget} trainings in {days(period)} are spent"


def _breaker(trigger: str, end: datetime, policy: PolicySpec, history: History) -> Iterator[str]:
    """Hold back what was refused again and again.

    Where nothing changes the gate refuses what a calendar asks for: that is no reason not to listen when the
    champion does worse.
    """
    listens = is_signal(trigger)
    refused = sorted(at for at, by in history.refused if at <= end and (is_signal(by) or not listens))
    paused = _paused(refused, policy)
    if paused is not None and end - paused < policy.rest:
        whose = "that a signal asked for " if listens else ""
        yield (
            f"the last {len(refused)} challengers {whose}were refused, so none is started for "
            f"{days(policy.rest)} ({days(end - paused)} have passed). Look at why, and train by hand"
        )


def _paused(refused: Sequence[datetime], policy: PolicySpec) -> datetime | None:
    """Return which refusal began the last rest: so many near each other do, or one right after a rest."""
    most, paused = policy.max_refused, None
    if most is None:
        return None
    for at, each in enumerate(refused, 1):
        apart = each - refused[at - most] if at >= most else None
        in_a_row = apart is not None and (apart < policy.rest or apart / most < policy.cooldown)
        after_a_rest = paused is not None and each - paused < 2 * policy.rest
        if in_a_row or after_a_rest:
            paused = each
    return paused


def _within(ends: tuple[datetime, ...], end: datetime, period: timedelta) -> int:
    return sum(abs(end - other) < period for other in ends)
