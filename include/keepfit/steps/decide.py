"""Turn what was measured about a window into the policy's verdict and the ledger's record of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keepfit.ledger import Decision, decision_key, train_run_id
from keepfit.policy import (
    Champion,
    DriftSignal,
    History,
    MissingChange,
    PerformanceSignal,
    Signals,
    decide,
    policy_version,
)
from keepfit.spec.model import ModelSpec
from keepfit.spec.window import Window


@dataclass(frozen=True)
class Measured:
    """What the steps before have stored about a window."""

    joined: Mapping[str, Any]
    performance: Mapping[str, Any]
    drift: Mapping[str, Any]
    champion: Champion | None
    predicted: float
    """The share of the window's time for which predictions are published."""

    def signals(self, model: str, window: Window) -> Signals:
        """Say it in the policy's terms."""
        performance = self.performance["signal"]
        return Signals(
            model=model,
            window_end=window.end,
            rows=self.drift.get("rows", 0),
            champion=self.champion,
            performance=PerformanceSignal(**performance) if performance else None,
            drift=_drift(self.drift) if self.champion else None,
            new_rows=self.joined["new_rows"],
        )

    def gap(self) -> str:
        """Say how much of the window is predicted, if it is not all."""
        if self.predicted >= 1 or self.champion is None or not self.drift.get("rows"):
            return ""
        return f"; only {self.predicted:.0%} of the window's time is predicted"

    def evidence(self) -> dict[str, Any]:
        """Return what is worth keeping for good."""
        scores = {each["column"]: each["score"] for each in self.drift.get("columns", ())}
        kept = ("share", "rows", "reference_rows", "missing", "broken", "skipped", "prediction")
        return {
            "champion": self.champion.version if self.champion else None,
            "predicted": self.predicted,
            "labels": _without_words(self.joined),
            "performance": _without_words(self.performance),
            "drift": {**{name: self.drift.get(name) for name in kept}, "scores": scores},
        }


def _without_words(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stored.items() if name not in ("told", "warnings")}


def make_decision(
    model: ModelSpec,
    window: Window,
    measured: Measured,
    past: Sequence[Decision],
    decided_by: str,
) -> Decision:
    """Decide about a window.

    Args:
        model: The model, with its policy.
        window: The window decided about.
        measured: What was measured about it.
        past: The model's decisions so far.
        decided_by: The run that decides.
    """
    version = policy_version(model.monitor)
    key = decision_key(model.name, version, window)
    asked = (each for each in past if each.verdict == "retrain" and each.key != key)
    history = History(tuple(each.window_end for each in asked))
    verdict = decide(measured.signals(model.name, window), model.monitor, history)
    return Decision(
        key=key,
        model=model.name,
        policy_version=version,
        window_start=window.start,
        window_end=window.end,
        verdict=verdict.word,
        trigger=verdict.trigger,
        reason=verdict.reason + measured.gap(),
        evidence=measured.evidence(),
        run_id=train_run_id(window) if verdict.word == "retrain" else None,
        decided_by=decided_by,
    )


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
    )
