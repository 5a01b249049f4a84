"""The verdict about one window: broken data first, then what the rules say, triage, and restraint."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from keepfit.policy.findings import Finding, is_known
from keepfit.policy.restraint import restraint
from keepfit.policy.rules import find
from keepfit.policy.signals import (
    CommonCause,
    DriftSignal,
    FleetLimit,
    History,
    MissingChange,
    RegretSignal,
    Signals,
    Verdict,
)
from keepfit.spec.policy import BY_REGRET

if TYPE_CHECKING:
    from keepfit.spec.model import ModelSpec
    from keepfit.spec.policy import PolicySpec

BROKEN_GROWTH = 0.5
"""A share of missing values that grew by so much is a fault upstream, not a shift in the world."""


def policy_version(spec: "ModelSpec") -> str:
    """Name a policy, and what is measured for it, by content: another one decides about a window anew."""
    # Why it was chosen, and when it is asked, change no answer.
    told = [spec.policy.model_dump(mode="json", exclude={"because"})]
    told.append(spec.monitor.model_dump(mode="json", exclude={"schedule"}))
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def decide(
    signals: Signals,
    past: Sequence[Signals],
    policy: "PolicySpec",
    history: History,
    fleet: FleetLimit = FleetLimit(),  # noqa: B008 - frozen
) -> Verdict:
    """Say whether a model should be trained again after a window, and why or why not.

    Args:
        signals: What is known about the window.
        past: What was known about the windows before it under the same champion, oldest first.
        policy: The model's policy.
        history: What was asked for before.
        fleet: What holds for all models together.
    """
    if unfit := _unfit(signals):
        return unfit
    verdict = _by_rules((*past, signals), policy, history, fleet)
    return replace(verdict, reason=f"{verdict.reason}; {policy.because}") if policy.because else verdict


def _by_rules(seen: Sequence[Signals], policy: "PolicySpec", history: History, fleet: FleetLimit) -> Verdict:
    signals = seen[-1]
    findings = tuple(find(rule, seen) for rule in policy.rules)
    fired = [each for each in findings if each.fires]
    if not fired:
        return Verdict(_quiet(findings), "none", _join(findings) or "the policy has no rules")
    harmless = _harmless(signals.regret)
    called = next((each for each in fired if not (harmless and each.sees == "shift")), None)
    if called is None:
        return Verdict("keep", fired[0].trigger, f"harmless shift: {harmless}; {_join(findings)}")
    words = _join((called, *(each for each in findings if each is not called)))
    if history.common:
        return _held(
            history.common,
            called.trigger,
            words,
            _once_released(called.trigger, signals, policy, history, fleet),
        )
    if wait := restraint(called.trigger, signals, policy, history, fleet):
        return Verdict("keep", called.trigger, f"{wait}; though {words}")
    return Verdict("retrain", called.trigger, words)


def needs_challenger(signals: Signals, past: Sequence[Signals], policy: "PolicySpec") -> bool:
    """Tell whether the verdict hangs on how a fresh challenger does, which is not known yet.

    A rule weighs it, or a shift calls for a training and may be harmless; the rest does not pay for one.
    """
    if _unfit(signals):
        return False
    found = (find(rule, (*past, signals)) for rule in policy.rules)
    return policy.asks(*BY_REGRET) or any(each.fires and each.sees == "shift" for each in found)


def _unfit(signals: Signals) -> Verdict | None:
    """Answer at once where no rule has anything to say."""
    if signals.champion is None:
        return Verdict("insufficient", "none", f"no champion yet: run {signals.model}__train")
    if signals.rows == 0:
        return Verdict("insufficient", "none", "the window holds no predictions")
    if broken := faults(signals.drift):
        return Verdict("blocked", "none", f"broken data is never trained on: {'; '.join(broken)}")
    return None


def _once_released(
    trigger: str, signals: Signals, policy: "PolicySpec", history: History, fleet: FleetLimit
) -> str | None:
    """Say what keeps a training back that an answer may release, as if all that wait were released first."""
    released = replace(history, fleet=(*history.fleet, *history.waiting))
    return restraint(trigger, signals, policy, released, fleet)


def _held(cause: CommonCause, trigger: str, words: str, wait: str | None) -> Verdict:
    kept = f"; if that is real, no training is started all the same: {wait}" if wait else ""
    return Verdict("held", trigger, f"{_asked(cause)}{kept}; {words}", wait or "")


def _asked(cause: CommonCause) -> str:
    count = len(cause.models)
    return (
        f"{', '.join(cause.columns)} of {cause.view} moved at once for {count} model{'s' * (count > 1)}: "
        f"incident {cause.key} {cause.answer or 'asks whether that is a fault'}"
    )


def faults(drift: DriftSignal | None) -> tuple[str, ...]:
    """Name what is broken in a window's data."""
    if drift is None:
        return ()
    missing = tuple(
        f"{each.column} is missing in {each.now:.0%} of the rows ({each.before:.0%} in training)"
        for each in grown(drift)
        if not told_of(each.column, drift.broken)
    )
    return drift.broken + missing


def told_of(column: str, said: Sequence[str]) -> tuple[str, ...]:
    """Return the faults that are told of a column: each is a sentence that begins with its name."""
    return tuple(each for each in said if each.startswith(f"{column} "))


def grown(drift: DriftSignal) -> tuple[MissingChange, ...]:
    """Return the columns that are missing so much more often that it is a fault."""
    return tuple(each for each in drift.missing if each.now - each.before >= BROKEN_GROWTH)


def _harmless(regret: RegretSignal | None) -> str:
    """Say so where a challenger that has seen the shift does no better than the champion."""
    if regret is None or not is_known(regret.value):
        return ""
    noise = regret.noise if is_known(regret.noise) else 0.0
    if regret.value > noise:
        return ""
    return (
        f"a fresh challenger is better by {regret.value:.4g} on {regret.rows:,} labelled rows, "
        f"chance alone {noise:.2g}"
    )


def _quiet(findings: Sequence[Finding]) -> Literal["keep", "insufficient"]:
    # "Could not look" must never read as "looked, and all is well".
    looked = [each for each in findings if each.sees != "clock"] or findings
    return "insufficient" if looked and all(each.fires is None for each in looked) else "keep"


def _join(findings: Sequence[Finding]) -> str:
    return "; ".join(each.text for each in findings)
