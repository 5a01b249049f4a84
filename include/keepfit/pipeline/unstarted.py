"""The trainings that were decided on, and whose runs nobody may have started."""

from datetime import datetime, timedelta
from typing import Any

from keepfit.ledger import Ledger
from keepfit.spec import Project

GRACE = timedelta(minutes=15)
"""How long who decided may take to start what he decided on."""


def find_unstarted(project: Project, now: datetime) -> list[dict[str, Any]]:
    """Return the decisions to train whose run has left no record, though there was time to start it.

    A run may be at work: starting it by the decision's own run id again changes nothing then.
    """
    found = Ledger(project.locations.ledger_url).unstarted(before=now - GRACE)
    return [
        {
            "model": each.model,
            "decision": {
                "verdict": each.verdict,
                "reason": each.reason,
                "run_id": each.run_id,
                "conf": each.conf,
            },
        }
        for each in found
        if each.model in project.models
    ]
