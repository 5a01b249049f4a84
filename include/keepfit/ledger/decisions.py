"""Decisions: one for each key, made with nobody else deciding."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import and_, exists

from keepfit.errors import DecisionError
from keepfit.ledger.chain import append
from keepfit.ledger.engine import transaction
from keepfit.ledger.loop import asked_for
from keepfit.ledger.past import Past
from keepfit.ledger.records import Decision
from keepfit.ledger.store import Store, row_of
from keepfit.ledger.tables import decisions, trainings


class Decisions(Store):
    """The part of the ledger that knows what was decided."""

    def decide_once(self, key: str, make: Callable[[Past], Decision]) -> Decision:
        """Return what a key was decided to, or decide it now with all others waiting.

        Args:
            key: What `keepfit.ledger.decision_key` makes of model, policy version and window.
            make: Makes the decision of what it finds in the ledger. It is quick, and asks the ledger only by
                what it is given.

        Raises:
            DecisionError: What was made, or stands, is about something else than the key.
        """
        if stands := self.decision(key):
            return stands
        with transaction(self._engine, alone=True) as connection:
            past = Past(connection)
            if stands := past.decision(key):
                return stands
            made = make(past)
            _refuse_other(key, made)
            append(connection, decisions, row_of(made))
        return made

    def decide(self, decision: Decision) -> Decision:
        """Record a decision that looks at nothing in the ledger, unless its key is decided already.

        Returns:
            The one that stands.

        Raises:
            DecisionError: The key stands for another model or window.
        """
        stands = self.decide_once(decision.key, lambda _: decision)
        if (stands.model, stands.window) != (decision.model, decision.window):
            raise DecisionError(
                f"The ledger holds the key {decision.key!r} for model {stands.model!r} and window "
                f"{stands.window.key}, not for {decision.model!r} and {decision.window.key}. "
                "Make keys with keepfit.ledger.decision_key."
            )
        return stands

    def decision(self, key: str) -> Decision | None:
        """Return the decision of a key, if there is one."""
        with transaction(self._engine) as connection:
            return Past(connection).decision(key)

    def decisions(self, model: str, since: datetime | None = None) -> list[Decision]:
        """List a model's decisions by data time; `since`: of windows that end after it."""
        with transaction(self._engine) as connection:
            return Past(connection).decisions(model, since)

    def held(self, incident_key: str) -> list[Decision]:
        """List the decisions that an incident holds, by model and data time."""
        of = decisions.c
        found = self._read(Decision, decisions, of.incident_key == incident_key, of.window_end)
        return sorted(found, key=lambda each: each.model)

    def unstarted(self, before: datetime) -> list[Decision]:
        """List the trainings decided on before a moment whose run has left no record, oldest first.

        Their runs may be at work, or may never have been started: only who starts runs knows.
        """
        of = decisions.c
        recorded = exists().where(asked_for(trainings.c))
        wanted = and_(of.verdict == "retrain", of.decided_at < before, ~recorded)
        return self._read(Decision, decisions, wanted, of.decided_at)


def _refuse_other(key: str, made: Decision) -> None:
    if made.key != key:
        raise DecisionError(
            f"A decision was made with the key {made.key!r} where {key!r} was asked for. "
            "Make both with keepfit.ledger.decision_key, of the same model, policy version and window."
        )
