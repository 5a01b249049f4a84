"""Incidents: a cause that several models have in common, and what somebody said it was."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from sqlalchemy import ColumnElement, exists, true

from keepfit.errors import LedgerError
from keepfit.ledger.chain import append
from keepfit.ledger.engine import transaction
from keepfit.ledger.past import Past
from keepfit.ledger.records import Decision, Incident, IncidentAnswer
from keepfit.ledger.store import Store, row_of
from keepfit.ledger.tables import incident_answers, incidents


class Incidents(Store):
    """The part of the ledger that knows what holds trainings."""

    def open_incident(self, incident: Incident) -> Incident:
        """Open an incident, unless its key has one; return the one that stands."""
        self._append(incidents, incident)
        return self.incident(incident.key) or incident

    def incident(self, key: str) -> Incident | None:
        """Return the incident of a key, if there is one."""
        return next(iter(self._found(incidents.c.key == key)), None)

    def incidents(self, *, open_only: bool = False) -> list[Incident]:
        """List all incidents, oldest first, or those that nobody has answered."""
        answered = exists().where(incident_answers.c.incident_key == incidents.c.key)
        return self._found(~answered if open_only else true())

    def answer_incident(
        self, answer: IncidentAnswer, keep_back: Callable[[Past], Mapping[str, str]] | None = None
    ) -> IncidentAnswer:
        """Record what an incident was; the first answer stands, and is returned.

        Args:
            answer: What somebody said.
            keep_back: Says which held decisions the answer trains all the same not, and why, by what it finds
                in the ledger with all others waiting. It is quick, and asks the ledger only by what it is
                given.

        Raises:
            LedgerError: There is no such incident.
        """
        if self.incident(answer.incident_key) is None:
            known = ", ".join(each.key for each in self.incidents(open_only=True))
            raise LedgerError(
                f"There is no incident {answer.incident_key!r} to answer. Open are: {known or 'none'}."
            )
        with transaction(self._engine, alone=True) as connection:
            past = Past(connection)
            if stands := past.answers().get(answer.incident_key):
                return stands
            made = replace(answer, kept_back=keep_back(past) or None) if keep_back else answer
            append(connection, incident_answers, row_of(made))
        return made

    def incident_answers(self) -> dict[str, IncidentAnswer]:
        """Return what was said of incidents, by their keys."""
        found = self._read(IncidentAnswer, incident_answers, true(), incident_answers.c.answered_at)
        return {each.incident_key: each for each in found}

    def concerned(self, incident: Incident) -> list[Decision]:
        """List the decisions that wait for an incident's answer or are blocked with it, by model and time."""
        with transaction(self._engine) as connection:
            return Past(connection).concerned(incident)

    def _found(self, wanted: ColumnElement[bool]) -> list[Incident]:
        return self._read(Incident, incidents, wanted, incidents.c.opened_at)
