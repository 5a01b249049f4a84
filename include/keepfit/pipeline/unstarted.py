"""The trainings that were decided on, and whose runs nobody may have started."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from keepfit.ledger import Decision, Ledger
from keepfit.pipeline.answering import released
from keepfit.pipeline.incident import find_cases
from keepfit.spec import Project

GRACE = timedelta(minutes=15)
"""How long who decided may take to start what he decided on."""


def find_unstarted(project: Project, now: datetime) -> list[dict[str, Any]]:
    """Return the trainings decided on whose run has left no verdict, though there was time to start it.

    Among them are those that an incident held until somebody called it real. A run may be at work: starting
    it by the decision's own run id again changes nothing then.
    """
    ledger, before = Ledger(project.locations.ledger_url), now - GRACE
    found = (*map(_asked, ledger.unstarted(before=before)), *_released(ledger, before))
    return [each for each in found if each["model"] in project.models]


def _released(ledger: Ledger, before: datetime) -> Iterator[dict[str, Any]]:
    for case in find_cases(ledger):
        if case.answer and case.answer.answered_at < before:
            for each in released(ledger, case):
                told = {"run_id": each["run_id"], "conf": each["conf"], "reason": each["conf"]["reason"]}
                yield {"model": each["model"], "decision": {"verdict": "retrain", **told}}


def _asked(made: Decision) -> dict[str, Any]:
    decision = {"verdict": made.verdict, "reason": made.reason, "run_id": made.run_id, "conf": made.conf}
    return {"model": made.model, "decision": decision}
