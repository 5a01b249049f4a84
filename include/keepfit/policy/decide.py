"""The verdict about one window: broken data first, then what the rules say, triage, and restraint."""

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from keepfit.policy.restraint import restraint
from keepfit.policy.rules import Finding, find
from keepfit.policy.signals import DriftSignal, FleetLimit, History, RegretSignal, Signals, Verdict, Word
from keepfit.spec.policy import BY_DRIFT, BY_REGRET

if TYPE_CHECKING:
    from keepfit.spec.model import ModelSpec
    from keepfit.spec.policy import PolicySpec

BROKEN_GROWTH = 0.5
"""A share of missing values that grew by so much is a fault upstream, not a shift in the world."""


def policy_version(spec: "ModelSpec") -> str:
    """Name a policy, and what is measured for it, by content: another one decides about a window anew."""
    told = [each.model_dump(mode="json") for each in (spec.policy, spec.monitor)]
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
    seen = (*past, signals)
    findings = tuple(find(rule, seen) for rule in policy.rules)
    called = next((each for each in findings if each.fires), None)
    if called is None:
        return Verdict(_quiet(findings), "none", _join(findings) or "the policy has no rules")
    words = _join((called, *(each for each in findings if each is not called)))
    if stopped := _triage(called, signals, history):
        return Verdict(stopped[0], called.trigger, f"{stopped[1]}; {words}")
    if wait := restraint(signals, policy, history, fleet):
        return Verdict("keep", called.trigger, f"{wait}; though {words}")
    because = f"; {policy.because}" if policy.because else ""
    return Verdict("retrain", called.trigger, words + because)


def needs_challenger(signals: Signals, past: Sequence[Signals], policy: "PolicySpec") -> bool:
    """Tell whether the verdict hangs on how a fresh challenger does, which is not known yet.

    A rule weighs it, or a shift calls for a training and may be harmless; the rest does not pay for one.
    """
    if _unfit(signals):
        return False
    return policy.asks(*BY_REGRET) or decide(signals, past, policy, History()).trigger in BY_DRIFT


def _unfit(signals: Signals) -> Verdict | None:
    """Answer at once where no rule has anything to say."""
    if signals.champion is None:
        return Verdict("insufficient", "none", f"no champion yet: run {signals.model}__train")
    if signals.rows == 0:
        return Verdict("insufficient", "none", "the window holds no predictions")
    if broken := faults(signals.drift):
        return Verdict("blocked", "none", f"broken data is never trained on: {'; '.join(broken)}")
    return None


def _triage(called: Finding, signals: Signals, history: History) -> tuple[Word, str] | None:
    """Tell a shift that does no harm, or one that has a cause in common with other models."""
    if called.trigger in BY_DRIFT and (harmless := _harmless(signals.regret)):
        return "keep", f"harmless shift: {harmless}"
    if cause := history.common:
        return "held", (
            f"{', '.join(cause.columns)} of {cause.view} moved at once for {len(cause.models)} models: "
            f"incident {cause.key} asks whether that is a fault"
        )
    return None


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


def _harmless(regret: RegretSignal | None) -> str:
    """Say so where a challenger that has seen the shift does no better than the champion."""
    if regret is None or regret.value is None or regret.value > (regret.noise or 0.0):
        return ""
    return (
        f"a fresh challenger is better by {regret.value:.4g} on {regret.rows:,} labelled rows, "
        f"chance alone {regret.noise or 0.0:.2g}"
    )


def _quiet(findings: tuple[Finding, ...]) -> Literal["keep", "insufficient"]:
    # "Could not look" must never read as "looked, and all is well".
    looked = [each.fires for each in findings if each.trigger not in ("calendar", "new_rows")]
    return "insufficient" if looked and set(looked) == {None} else "keep"


def _join(findings: Sequence[Finding]) -> str:
    return "; ".join(each.text for each in findings)
