"""One rule per signal, in the words a person reads; each says whether it calls for a training."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from keepfit.policy.signals import DriftSignal, History, PerformanceSignal, Signals, Trigger

if TYPE_CHECKING:
    from keepfit.spec.model import MonitorSpec

BROKEN_GROWTH = 0.5
"""A share of missing values that grew by so much is a fault upstream, not a shift in the world."""


@dataclass(frozen=True)
class Finding:
    """What one rule says: `fires` is None where the data does not allow an answer."""

    trigger: Trigger
    fires: bool | None
    text: str


def faults(drift: DriftSignal | None) -> tuple[str, ...]:
    """Name what is broken in a window's data."""
    if drift is None:
        return ()
    grown = tuple(
        f"{each.column} is missing in {each.now:.0%} of the rows ({each.before:.0%} in training)"
        for each in drift.missing
        if each.now - each.before >= BROKEN_GROWTH
    )
    return drift.broken + grown


def performance(signal: PerformanceSignal, worse_by: float) -> Finding:
    """Hold labelled performance against the champion's own holdout."""
    if signal.value is None or signal.holdout is None:
        return Finding("performance", None, f"{signal.metric} not judged: {signal.reason}")
    sign = 1 if signal.higher_is_better else -1
    loss = sign * (signal.holdout - signal.value)
    fires = loss > worse_by * abs(signal.holdout)
    base = f"{signal.metric} {signal.value:.4f} on {signal.rows:,} labelled rows is"
    if not fires:
        text = f"{base} within {_percent(worse_by)} of the holdout's {signal.holdout:.4f}"
        return Finding("performance", False, text)
    share = f"{_percent(loss / abs(signal.holdout))} " if signal.holdout else ""
    return Finding(
        "performance",
        True,
        f"{base} {share}worse than the holdout's {signal.holdout:.4f} (limit {_percent(worse_by)})",
    )


def drift(signal: DriftSignal, limit: float) -> Finding:
    """Hold the share of drifted columns against the limit."""
    if signal.share is None:
        return Finding("drift", None, f"drift not judged: {signal.reason}")
    fires = signal.share >= limit
    sign = ">=" if fires else "<"
    text = (
        f"{len(signal.drifted)} of {signal.columns} columns drifted "
        f"(share {signal.share:.2f} {sign} {limit:.2f})"
    )
    return Finding("drift", fires, text)


def age(signals: Signals, max_age: timedelta | None) -> Finding:
    """Hold the age of the champion's data against the limit."""
    if signals.champion is None or signals.champion.as_of is None:
        return Finding("age", None, "the champion's training time is not recorded")
    since = signals.window_end - signals.champion.as_of
    fires = max_age is not None and since > max_age
    limit = f" (limit {days(max_age)})" if max_age is not None else ""
    return Finding("age", fires, f"the champion's data is {days(since)} old{limit}")


def new_rows(signals: Signals, limit: int) -> Finding:
    """Hold the labelled rows that no training has seen against the limit."""
    if signals.new_rows is None:
        return Finding("new_rows", None, "new labelled rows were not counted")
    fires = signals.new_rows >= limit
    sign = ">=" if fires else "<"
    return Finding("new_rows", fires, f"{signals.new_rows:,} new labelled rows {sign} {limit:,}")


def restraint(signals: Signals, history: History, spec: "MonitorSpec") -> str | None:
    """Say why a training that a signal calls for has to wait; None when it need not.

    Distances in time count both ways: a window worked off late must not slip between two others.
    """
    end = signals.window_end
    as_of = signals.champion.as_of if signals.champion else None
    if as_of is not None and as_of >= end:
        return f"the champion was trained as of {as_of:%Y-%m-%d %H:%M}, not before this window's end"
    if end in history.retrained:
        return (
            f"another policy asked for a training after the window ending {end:%Y-%m-%d %H:%M} already, "
            "and one window starts one training"
        )
    nearest = min(history.retrained, key=lambda other: abs(end - other), default=None)
    if nearest is not None and abs(end - nearest) < spec.cooldown:
        return (
            f"cool-down of {days(spec.cooldown)}: the window ending {nearest:%Y-%m-%d} "
            f"asked for a training, {days(abs(end - nearest))} away"
        )
    spent = sum(abs(end - other) < spec.budget_period for other in history.retrained)
    if spec.budget is not None and spent >= spec.budget:
        return f"budget: {spent} of {spec.budget} trainings in {days(spec.budget_period)} are spent"
    return None


def days(span: timedelta) -> str:
    """Write a duration in days, or in hours where it is shorter than two days."""
    if span < timedelta(days=2) and span % timedelta(days=1):
        return f"{span / timedelta(hours=1):.3g} h"
    return f"{span / timedelta(days=1):.3g} d"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
