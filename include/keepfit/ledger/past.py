"""What a decision may look at: the ledger inside the transaction that decides, with all others waiting."""

from datetime import datetime

from sqlalchemy import Connection, and_, true

from keepfit.ledger.chain import append
from keepfit.ledger.records import Decision, Deployment, Incident, IncidentAnswer, Training
from keepfit.ledger.store import records, row_of
from keepfit.ledger.tables import decisions, deployments, incident_answers, incidents, trainings
from keepfit.spec import Window


class Past:
    """The ledger as it stands when a key is decided. It is of use only until the decision is made."""

    def __init__(self, connection: Connection) -> None:
        """Look by the transaction's own connection: another one would wait for it for ever."""
        self._connection = connection

    def decision(self, key: str) -> Decision | None:
        """Return the decision of a key, if there is one."""
        of = decisions.c
        return next(iter(records(self._connection, Decision, decisions, of.key == key, of.key)), None)

    def decisions(self, model: str, since: datetime | None = None) -> list[Decision]:
        """List a model's decisions by data time; `since`: of windows that end after it."""
        of = decisions.c
        wanted = of.model == model
        if since is not None:
            wanted = and_(wanted, of.window_end > since)
        return records(self._connection, Decision, decisions, wanted, of.window_end)

    def asked(self, after: datetime, until: datetime) -> list[Decision]:
        """List the fleet's decisions to train, of windows that end after one moment and up to another."""
        of = decisions.c
        wanted = and_(of.verdict == "retrain", of.window_end > after, of.window_end <= until)
        return records(self._connection, Decision, decisions, wanted, of.window_end)

    def trainings(self, model: str) -> list[Training]:
        """List a model's training runs, oldest first; an error only of those that came to no verdict."""
        of = trainings.c
        found = records(self._connection, Training, trainings, of.model == model, of.recorded_at)
        judged = {each.run_id for each in found if each.verdict != "error"}
        return [each for each in found if each.verdict != "error" or each.run_id not in judged]

    def deployments(self, model: str, alias: str = "champion") -> list[Deployment]:
        """List the moves of a model's alias, oldest first."""
        of = deployments.c
        wanted = and_(of.model == model, of.alias == alias)
        return records(self._connection, Deployment, deployments, wanted, of.position)

    def incident(self, key: str) -> Incident | None:
        """Return the incident of a key, if there is one."""
        of = incidents.c
        return next(iter(records(self._connection, Incident, incidents, of.key == key, of.key)), None)

    def held(self, after: datetime, until: datetime) -> list[Decision]:
        """List the fleet's decisions that an incident held, of windows as `asked` takes them."""
        of = decisions.c
        wanted = and_(of.verdict == "held", of.window_end > after, of.window_end <= until)
        return records(self._connection, Decision, decisions, wanted, of.window_end)

    def incidents(self, view: str, window: Window) -> list[Incident]:
        """List the incidents of a view whose windows overlap one, oldest first."""
        of = incidents.c
        wanted = and_(of.view == view, of.window_start < window.end, of.window_end > window.start)
        return records(self._connection, Incident, incidents, wanted, of.opened_at)

    def concerned(self, incident: Incident) -> list[Decision]:
        """List the decisions that wait for an incident's answer or are blocked with it, by model and time.

        A window may have several causes; the decision's evidence names all their incidents.
        """
        of = decisions.c
        at_once = and_(of.window_start < incident.window_end, of.window_end > incident.window_start)
        wanted = and_(of.verdict.in_(("held", "blocked")), at_once)
        found = records(self._connection, Decision, decisions, wanted, of.window_end)
        named = (each for each in found if incident.key in each.incidents)
        return sorted(named, key=lambda each: each.model)

    def answers(self) -> dict[str, IncidentAnswer]:
        """Return what was said of incidents, by their keys."""
        of = incident_answers.c
        found = records(self._connection, IncidentAnswer, incident_answers, true(), of.answered_at)
        return {each.incident_key: each for each in found}

    def open_incident(self, incident: Incident) -> Incident:
        """Open an incident together with the decision, or not at all; return the one that stands."""
        append(self._connection, incidents, row_of(incident))
        return self.incident(incident.key) or incident
