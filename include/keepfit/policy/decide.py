"""The verdict about one window: faults first, then labels, then drift, then age, then new rows."""

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keepfit.policy import rules
from keepfit.policy.rules import Finding
from keepfit.policy.signals import History, Signals, Verdict, Word

if TYPE_CHECKING:
    from keepfit.spec.model import MonitorSpec


def policy_version(spec: "MonitorSpec") -> str:
    """Name a policy by its content: another policy decides about a window anew."""
    text = json.dumps(spec.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def decide(signals: Signals, spec: "MonitorSpec", history: History) -> Verdict:
    """Say whether a model should be trained again after a window, and why or why not."""
    if signals.champion is None:
        first = f"no champion yet: run {signals.model}__train"
        return Verdict("insufficient", "none", first)
    if signals.rows == 0:
        return Verdict("insufficient", "none", "the window holds no predictions")
    if broken := rules.faults(signals.drift):
        return Verdict("blocked", "none", f"broken data is never trained on: {'; '.join(broken)}")
    findings = tuple(_findings(signals, spec))
    called = next((each for each in findings if each.fires), None)
    if called is None:
        return Verdict(_quiet(findings), "none", _join(findings))
    words = _join((called, *(each for each in findings if each is not called)))
    wait = rules.restraint(signals, history, spec)
    if wait:
        return Verdict("keep", called.trigger, f"{wait}; though {words}")
    return Verdict("retrain", called.trigger, words)


def _findings(signals: Signals, spec: "MonitorSpec") -> Iterator[Finding]:
    if spec.performance and signals.performance:
        yield rules.performance(signals.performance, spec.performance.worse_by)
    if spec.drift and signals.drift:
        yield rules.drift(signals.drift, spec.drift.share)
    yield rules.age(signals, spec.max_age)
    if spec.new_rows is not None:
        yield rules.new_rows(signals, spec.new_rows)


def _quiet(findings: tuple[Finding, ...]) -> Word:
    measured = [each.fires for each in findings if each.trigger in ("performance", "drift")]
    # "Could not look" must never read as "looked, and all is well".
    return "insufficient" if measured and set(measured) == {None} else "keep"


def _join(findings: tuple[Finding, ...]) -> str:
    return "; ".join(each.text for each in findings)
