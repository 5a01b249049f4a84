"""Answers to incidents, and the trainings that an answer starts."""

import hashlib
import re
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from keepfit.errors import ConfError, DecisionError
from keepfit.ledger import Decision, IncidentAnswer, Ledger, train_run_id
from keepfit.pipeline.answers import as_released, is_released
from keepfit.pipeline.incident import Case, find_case
from keepfit.pipeline.let_go import giving_way
from keepfit.spec import Project
from keepfit.spec.problem import did_you_mean

Word = Literal["fault", "real"]
WORDS: tuple[Word, ...] = ("fault", "real")
_PLAIN = re.compile(r"[^A-Za-z0-9_.~:+-]")


def answer_case(project: Project, key: str, word: str, *, who: str, why: str | None, at: datetime) -> Case:
    """Record what an incident was, and which held trainings give way if it is real.

    Giving the very same answer again changes nothing.

    Raises:
        ConfError: There is no such incident or answer, or no reason is given.
        DecisionError: It was answered before.
    """
    ledger = Ledger(project.locations.ledger_url)
    find_case(ledger, key)
    if word not in WORDS:
        raise ConfError(f"{word!r} is no answer to {key}.{did_you_mean(word, WORDS)} Answer fault or real.")
    reason = " ".join((why or "").split())
    if not reason:
        raise ConfError(f"{key} is answered {word} without a reason. Say why: it is kept in the ledger.")
    said = IncidentAnswer(key, "fault" if word == "fault" else "real", who, reason, at)
    stands = ledger.answer_incident(said, lambda past: giving_way(project, past, said))
    if replace(stands, kept_back=None) != said:
        raise DecisionError(
            f"{key} was answered {stands.answer} by {stands.who} at {stands.answered_at:%Y-%m-%d %H:%M} "
            f"({stands.why}). The first answer stands; {who}'s, {word}, is not taken."
        )
    return find_case(ledger, key)


def released(ledger: Ledger, case: Case) -> list[dict[str, Any]]:
    """List the trainings that an answer releases and that have come to no verdict yet.

    A model that was held for several windows is trained once, as of the last of them. One that another
    incident holds as well waits for that one's answer too.
    """
    answers = ledger.incident_answers()
    last = {each.model: each for each in case.decisions if is_released(each, answers)}
    return [
        _training(as_released(each, answers), case)
        for each in last.values()
        if _judged(ledger, each.model).isdisjoint((train_run_id(each.window), each.key))
    ]


def incident_run_id(key: str) -> str:
    """Derive the id of the run that asks about an incident: asking twice starts one run."""
    plain = _PLAIN.sub("_", key)
    digest = "" if plain == key else f"__{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    return f"incident__{plain}{digest}"


def _training(decision: Decision, case: Case) -> dict[str, Any]:
    said = case.answer.why if case.answer else ""
    conf = decision.conf | {"reason": f"incident {case.incident.key} is real: {said}"}
    return {"model": decision.model, "run_id": decision.run_id, "conf": conf}


def _judged(ledger: Ledger, model: str) -> set[str | None]:
    """Return the runs with a verdict, and the decisions: a run that was cleared has another id."""
    done = [each for each in ledger.trainings(model) if each.verdict != "error"]
    return {each.run_id for each in done} | {each.decision_key for each in done}
