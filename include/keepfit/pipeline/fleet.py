"""A model's window beside those of all others: what they have in common, and what they may start together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from keepfit.ledger import Decision, Incident, Ledger, Past, incident_key
from keepfit.pipeline.answers import Answers, is_released, is_waiting
from keepfit.pipeline.let_go import limit_of, near
from keepfit.pipeline.origins import columns_of_models
from keepfit.pipeline.snapshot import Snapshot
from keepfit.policy import (
    CommonCause,
    Signals,
    Suspicion,
    common_causes,
    suspects,
)
from keepfit.policy.decide import faults, told_of
from keepfit.steps.decide import Memory


class Fleet:
    """What one window's decision has to do with other models."""

    def __init__(self, snapshot: Snapshot, signals: Signals, drift: Mapping[str, Any]) -> None:
        """Look from a monitoring run.

        Args:
            snapshot: The run's.
            signals: What is known about its window.
            drift: The stored result of the drift's step, for its numbers.
        """
        self._snapshot = snapshot
        self._spec = snapshot.project.fleet
        self._signals = signals
        self._drift = drift

    def decide(self, ledger: Ledger, key: str, make: Callable[[Memory], Decision]) -> Decision:
        """Decide with all others waiting, unless it is decided; what takes long is done before."""
        if stands := ledger.decision(key):
            return stands
        suspicions = self.suspicions()

        def alone(past: Past) -> Decision:
            return self._joined(past, make(self._memory(past, suspicions)), suspicions)

        return ledger.decide_once(key, alone)

    def suspicions(self) -> tuple[Suspicion, ...]:
        """Return the views that are suspect in the window and that enough models lean on.

        Only where a column is suspect are Feast's definitions read, which takes seconds.
        """
        least, models = self._spec.common_cause, self._snapshot.models
        drift = self._signals.drift
        is_suspect = drift is not None and (drift.jumped or faults(drift))
        if least is None or len(models) < least or not is_suspect:
            return ()
        fleet = columns_of_models(self._snapshot)
        own = fleet.get(self._snapshot.the_model.name, {})
        return common_causes(suspects(drift, own), own, fleet, least)

    def _memory(self, past: Past, suspicions: Sequence[Suspicion]) -> Memory:
        """Gather what the ledger holds, with the cause that holds this window back."""
        model, answers = self._snapshot.the_model.name, past.answers()
        fleet, own = near(past, self._spec, self._signals.window_end), past.decisions(model)
        return Memory(
            decisions=own,
            trainings=past.trainings(model),
            fleet=fleet,
            limit=limit_of(self._spec),
            common=self._holding(past, suspicions, answers),
            waiting=[each for each in fleet if each.model != model and is_waiting(each, answers)],
            released={each.key for each in (*own, *fleet) if is_released(each, answers)},
        )

    def _joined(self, past: Past, decision: Decision, suspicions: Sequence[Suspicion]) -> Decision:
        """Make a decision that is held or blocked part of its incidents, which are opened if need be."""
        if decision.verdict not in ("held", "blocked") or not suspicions:
            return decision
        answers = past.answers()
        keys = [past.open_incident(self._incident(past, each, answers)).key for each in suspicions]
        holding = self._holding(past, suspicions, answers)
        asking = f"incident {keys[0]} asks" if len(keys) == 1 else f"incidents {' and '.join(keys)} ask"
        word = "" if decision.verdict == "held" else f"; {asking} what has happened"
        return replace(
            decision,
            incident_key=holding.key if holding else keys[0],
            reason=decision.reason + word,
            evidence={**decision.evidence, "incidents": keys},
        )

    def _holding(self, past: Past, suspicions: Sequence[Suspicion], answers: Answers) -> CommonCause | None:
        """Return the widest cause that nobody has called real."""
        for each in suspicions:
            incident = self._incident(past, each, answers)
            said = answers.get(incident.key)
            if said is None or said.answer == "fault":
                answer = f"was answered by {said.who}: a fault ({said.why})" if said else ""
                return CommonCause(each.view, each.columns, each.models, incident.key, answer)
        return None

    def _incident(self, past: Past, suspicion: Suspicion, answers: Answers) -> Incident:
        """Return the incident that a suspicion belongs to, or the one to open.

        An open one goes before one that was a fault, and that before one that was real: whoever is in doubt
        waits.
        """
        ranks = {"fault": 1, "real": 2}
        standing = sorted(
            past.incidents(suspicion.view, self._snapshot.the_window),
            key=lambda each: ranks[answers[each.key].answer] if each.key in answers else 0,
        )
        return standing[0] if standing else self._new(suspicion)

    def _new(self, suspicion: Suspicion) -> Incident:
        window = self._snapshot.the_window
        return Incident(
            key=incident_key(suspicion.view, window),
            view=suspicion.view,
            window_start=window.start,
            window_end=window.end,
            columns=suspicion.columns,
            models=len(suspicion.models),
            reason="; ".join(self._told(column) for column in suspicion.columns),
            opened_by=f"{self._snapshot.the_model.name}, run {self._snapshot.run_id}",
        )

    def _told(self, column: str) -> str:
        """Say in numbers what is suspect about a column."""
        told = told_of(column, faults(self._signals.drift))
        scores = {each["column"]: each["score"] for each in self._drift.get("columns", ())}
        drift = f" (drift {scores[column]:.3g})" if scores.get(column) is not None else ""
        return told[0] if told else f"{column} jumped from the window before{drift}"
