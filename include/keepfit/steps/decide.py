"""Turn what was measured about a window into the policy's verdict and the ledger's record of it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from keepfit.ledger import Decision, Training, decision_key, train_run_id
from keepfit.policy import (
    Champion,
    CommonCause,
    DriftSignal,
    FleetLimit,
    History,
    MissingChange,
    PerformanceSignal,
    RegretSignal,
    Score,
    Signals,
    decide,
    policy_version,
    refused_in_a_row,
)
from keepfit.spec.model import ModelSpec
from keepfit.spec.window import Window
from keepfit.steps.silent_labels import labels_missing, silent_labels


@dataclass(frozen=True)
class Measured:
    """What the steps before have stored about a window."""

    joined: Mapping[str, Any]
    performance: Mapping[str, Any]
    drift: Mapping[str, Any]
    champion: Champion | None
    predicted: float
    """The share of the window's time for which predictions are published."""
    regret: Mapping[str, Any] | None = None
    """How a fresh challenger did, where the policy weighs it."""

    def signals(self, model: str, window: Window) -> Signals:
        """Say it in the policy's terms."""
        performance = self.performance["signal"]
        return Signals(
            model=model,
            window_start=window.start,
            window_end=window.end,
            rows=self.drift.get("rows", 0),
            champion=self.champion,
            performance=PerformanceSignal(**performance) if performance else None,
            drift=_drift(self.drift) if self.champion else None,
            prediction=_score(
                self.drift.get("prediction") or {"reason": self.drift["reason"] or "not compared"}
            ),
            regret=RegretSignal(**self.regret) if self.regret else None,
            calibration=_score(self.performance.get("calibration")),
            estimate=_score(self.performance.get("estimated", {}).get("score")),
            new_rows=self.joined["new_rows"],
        )

    def gap(self) -> str:
        """Say how much of the window is predicted, if it is not all."""
        if self.predicted >= 1 or self.champion is None or not self.drift.get("rows"):
            return ""
        return f"; only {self.predicted:.0%} of the window's time is predicted"

    def evidence(self) -> dict[str, Any]:
        """Return what is worth keeping for good beside the signals."""
        columns = self.drift.get("columns", ())
        return {
            "predicted": self.predicted,
            "labels": _without(self.joined, "told", "warnings", "new_rows"),
            "performance": _without(self.performance, "told", "signal", "calibration"),
            "drift": {
                **{name: self.drift.get(name) for name in ("reference_rows", "skipped", "unseen")},
                "scores": {each["column"]: each["score"] for each in columns},
                "noise": {each["column"]: each.get("noise") for each in columns},
            },
        }


def _without(stored: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in stored.items() if name not in names}


@dataclass(frozen=True)
class Memory:
    """What the ledger holds of a model, and of all models, when a window is decided about."""

    decisions: Sequence[Decision] = ()
    """The model's."""
    trainings: Sequence[Training] = ()
    """The model's, oldest first."""
    fleet: Sequence[Decision] = ()
    """Those of all models that asked for a training."""
    limit: FleetLimit = field(default_factory=FleetLimit)
    common: CommonCause | None = None
    waiting: Sequence[Decision] = ()
    """Those of other models that are held, and would start a training if their cause is real."""
    released: Collection[str] = ()
    """The keys of those that were held, and whose trainings were started after all."""

    def history(self, key: str, window: Window) -> History:
        """Say it in the policy's terms, but for the decision of a key."""
        return History(
            retrained=self._asked(self.decisions, key),
            refused=refused_in_a_row(self._judged(), window.end),
            fleet=self._asked(self.fleet, key),
            waiting=tuple({each.model: each.window_end for each in self.waiting}.values()),
            common=self.common,
        )

    def _asked(self, decisions: Sequence[Decision], key: str) -> tuple[datetime, ...]:
        return tuple(
            each.window_end
            for each in decisions
            if each.key != key and (each.verdict == "retrain" or each.key in self.released)
        )

    def _judged(self) -> Iterator[tuple[datetime, bool, str]]:
        asked = {each.key: each.trigger for each in self.decisions}
        for each in self.trainings:
            if each.verdict != "error":
                yield each.as_of, each.verdict == "pass", asked.get(each.decision_key or "", "")


def make_decision(
    model: ModelSpec,
    window: Window,
    measured: Measured,
    past: Memory,
    decided_by: str,
) -> Decision:
    """Decide about a window.

    Args:
        model: The model, with its policy.
        window: The window decided about.
        measured: What was measured about it.
        past: What the ledger holds.
        decided_by: The run that decides.
    """
    version = policy_version(model)
    key = decision_key(model.name, version, window)
    signals = measured.signals(model.name, window)
    verdict = decide(
        signals, before(signals, past.decisions), model.policy, past.history(key, window), past.limit
    )
    restrained = {"restrained": verdict.restrained} if verdict.restrained else {}
    return Decision(
        key=key,
        model=model.name,
        policy_version=version,
        window_start=window.start,
        window_end=window.end,
        verdict=verdict.word,
        trigger=verdict.trigger,
        reason=verdict.reason + measured.gap() + _of_labels(model, measured, past, window),
        evidence=measured.evidence() | {"signals": signals.to_json()} | restrained,
        run_id=train_run_id(window) if verdict.word == "retrain" else None,
        decided_by=decided_by,
    )


def _of_labels(model: ModelSpec, measured: Measured, past: Memory, window: Window) -> str:
    """Say so where labels do not come."""
    warning = silent_labels(measured.joined, past.decisions, window.end, model.label_dataset)
    return labels_missing(measured.joined) + warning


def before(signals: Signals, decisions: Sequence[Decision]) -> list[Signals]:
    """Return what was known about the windows before one under the same champion, oldest first.

    A window that was decided about by several policies counts once, as it was measured last.
    """
    by_time = sorted(decisions, key=lambda each: (each.decided_at, each.key))
    stored = (each.evidence.get("signals") for each in by_time)
    known = {each.window_end: each for each in map(Signals.of_json, filter(None, stored))}
    return [
        each
        for end, each in sorted(known.items())
        if end < signals.window_end and each.champion == signals.champion
    ]


def _drift(stored: Mapping[str, Any]) -> DriftSignal:
    columns = stored["columns"]
    return DriftSignal(
        rows=stored["rows"],
        columns=len(columns),
        drifted=tuple(each["column"] for each in columns if each["drifted"]),
        share=stored["share"],
        reason=stored["reason"],
        missing=tuple(MissingChange(**each) for each in stored["missing"]),
        broken=tuple(stored["broken"]),
        weighted=_score(stored.get("weighted")),
        jumped=tuple(stored.get("jumped", ())),
    )


def _score(stored: Mapping[str, Any] | None) -> Score:
    """Read a score from a step's result, which may say more."""
    if not stored:
        return Score()
    value = stored.get("value", stored.get("score"))
    return Score(value, stored.get("noise"), stored.get("reason", ""))
