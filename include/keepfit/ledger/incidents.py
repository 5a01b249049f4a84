"""Incidents: a cause that several models have in common, and what somebody said it was."""

from sqlalchemy import ColumnElement, and_, exists, true

from keepfit.errors import LedgerError
from keepfit.ledger.records import Decision, Incident, IncidentAnswer
from keepfit.ledger.store import Store
from keepfit.ledger.tables import decisions, incident_answers, incidents


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

    def answer_incident(self, answer: IncidentAnswer) -> IncidentAnswer:
        """Record what an incident was; the first answer stands, and is returned.

        Raises:
            LedgerError: There is no such incident.
        """
        if self.incident(answer.incident_key) is None:
            known = ", ".join(each.key for each in self.incidents(open_only=True))
            raise LedgerError(
                f"There is no incident {answer.incident_key!r} to answer. Open are: {known or 'none'}."
            )
        self._append(incident_answers, answer)
        return self.incident_answer(answer.incident_key) or answer

    def incident_answer(self, key: str) -> IncidentAnswer | None:
        """Return what was said of an incident; None while it is open."""
        of = incident_answers.c
        wanted = of.incident_key == key
        return next(iter(self._read(IncidentAnswer, incident_answers, wanted, of.answered_at)), None)

    def incident_answers(self) -> dict[str, IncidentAnswer]:
        """Return what was said of incidents, by their keys."""
        found = self._read(IncidentAnswer, incident_answers, true(), incident_answers.c.answered_at)
        return {each.incident_key: each for each in found}

    def concerned(self, incident: Incident) -> list[Decision]:
        """List the decisions that wait for an incident's answer or are blocked with it, by model and time.

        A window may have several causes; the decision's evidence names all their incidents.
        """
        of = decisions.c
        at_once = and_(of.window_start < incident.window_end, of.window_end > incident.window_start)
        wanted = and_(of.verdict.in_(("held", "blocked")), at_once)
        found = self._read(Decision, decisions, wanted, of.window_end)
        named = (each for each in found if incident.key in each.incidents)
        return sorted(named, key=lambda each: each.model)

    def _found(self, wanted: ColumnElement[bool]) -> list[Incident]:
        return self._read(Incident, incidents, wanted, incidents.c.opened_at)
