"""What holds a training back that a rule calls for."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from keepfit.policy.signals import FleetLimit, History, Signals
from keepfit.policy.wording import days
from keepfit.spec.policy import PolicySpec


def restraint(signals: Signals, policy: PolicySpec, history: History, fleet: FleetLimit) -> str | None:
    """Say why a training that a rule calls for has to wait; None when it need not.

    Distances in time count both ways: a window worked off late must not slip between two others.
    """
    return next(_reasons(signals, policy, history, fleet), None)


def _reasons(signals: Signals, policy: PolicySpec, history: History, fleet: FleetLimit) -> Iterator[str]:
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
    refused = sorted(each for each in history.refused if each <= end)
    if policy.max_refused is not None and len(refused) >= policy.max_refused:
        since = end - refused[-1]
        if since < policy.rest:
            yield (
                f"the last {len(refused)} challengers were refused, so signals start none for "
                f"{days(policy.rest)} ({days(since)} have passed). Look at why, and train by hand"
            )


def _within(ends: tuple[datetime, ...], end: datetime, period: timedelta) -> int:
    return sum(abs(end - other) < period for other in ends)
