"""The rules of a policy, in the words a person reads; each says whether it calls for a training."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from keepfit.policy import combined, own, regret
from keepfit.policy.findings import Finding, Seen, is_known, unknown
from keepfit.policy.performance import performance
from keepfit.policy.signals import Score
from keepfit.policy.wording import days
from keepfit.spec import policy as spec


def find(rule: spec.Rule, seen: Seen) -> Finding:
    """Ask a rule of a spec."""
    return _RULES[rule.rule](rule, seen)


def _calendar(rule: spec.Calendar, seen: Seen) -> Finding:
    champion = seen[-1].champion
    if champion is None or champion.as_of is None:
        return Finding("calendar", None, "the champion's training time is not recorded", "clock")
    since = seen[-1].window_end - champion.as_of
    age = f"{days(since)} old" if since >= timedelta() else f"{days(-since)} newer than the window"
    text = f"the champion's data is {age} (limit {days(rule.every)})"
    return Finding("calendar", since >= rule.every, text, "clock")


def _new_rows(rule: spec.NewRows, seen: Seen) -> Finding:
    rows = seen[-1].new_rows
    if rows is None:
        return Finding("new_rows", None, "new labelled rows were not counted", "clock")
    fires = rows >= rule.at_least
    text = f"{rows:,} new labelled rows {'>=' if fires else '<'} {rule.at_least:,}"
    return Finding("new_rows", fires, text, "clock")


def _drift_share(rule: spec.DriftShare, seen: Seen) -> Finding:
    signal = seen[-1].drift
    if signal is None or not is_known(signal.share):
        reason = signal.reason if signal else "not measured"
        return unknown("drift_share", "drift not judged", reason, "shift")
    fires = signal.share >= rule.share
    text = (
        f"{len(signal.drifted)} of {signal.columns} columns drifted "
        f"(share {signal.share:.2f} {'>=' if fires else '<'} {rule.share:.2f})"
    )
    return Finding("drift_share", fires, text, "shift")


def _prediction_drift(rule: spec.PredictionDrift, seen: Seen) -> Finding:
    return _far("prediction_drift", "the scores' drift", seen[-1].prediction, rule.threshold)


def _weighted_drift(rule: spec.WeightedDrift, seen: Seen) -> Finding:
    drift = seen[-1].drift
    return _far("weighted_drift", "the weighted drift", drift.weighted if drift else Score(), rule.threshold)


def _far(trigger: str, what: str, score: Score, limit: float) -> Finding:
    if not is_known(score.value):
        return unknown(trigger, f"{what} not judged", score.reason if score.value is None else "", "shift")
    fires = score.value >= limit
    noise = "" if score.noise is None else f", chance alone {score.noise:.3g}"
    text = f"{what} {score.value:.3g} {'>=' if fires else '<'} {limit:.3g}{noise}"
    return Finding(trigger, fires, text, "shift")


_RULES: Mapping[str, Callable[[Any, Seen], Finding]] = {
    "calendar": _calendar,
    "drift_share": _drift_share,
    "performance": performance,
    "prediction_drift": _prediction_drift,
    "weighted_drift": _weighted_drift,
    "regret": regret.accumulated,
    "upf": regret.forecast,
    "new_rows": _new_rows,
    "own": own.ask,
    "m_of_n": lambda rule, seen: combined.m_of_n(rule, seen, find),
    "all": lambda rule, seen: combined.all_of([find(each, seen) for each in rule.of]),
    "any": lambda rule, seen: combined.any_of([find(each, seen) for each in rule.of]),
}
