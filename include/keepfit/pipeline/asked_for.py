"""Holds the decision that a training's trigger names against the ledger."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from keepfit.errors import ConfError
from keepfit.spec import Project
from keepfit.spec.fields import in_utc

if TYPE_CHECKING:
    from keepfit.ledger import Decision

_CLEARED = re.compile(r"~\d+$")
"""A run that was cleared begins again, as its id with the number of times."""


def refuse_unasked(project: Project, model: str | None, run_id: str, settings: Mapping[str, Any]) -> None:
    """Refuse a decision that is not in the ledger, or that asks for another training than this run or none.

    Raises:
        ConfError: The lineage would name a reason that nobody recorded, or one that was another run's.
    """
    decision = settings.get("decision")
    if model is None or decision is None:
        return
    from keepfit.ledger import Ledger
    from keepfit.pipeline.answers import as_released

    ledger = Ledger(project.locations.ledger_url)
    found = ledger.decision(decision)
    if found:
        found = as_released(found, ledger.incident_answers())
    what = _differs(found, model, run_id, settings.get("as_of")) if found else "is not in the ledger"
    if what:
        raise ConfError(
            f"The decision {decision!r} {what}. `keepfit decisions {model}` lists those there are. "
            "To train for a reason of your own, leave `decision` out and give a `reason`."
        )


def _differs(found: "Decision", model: str, run_id: str, as_of: str | None) -> str | None:
    """Say how what is asked for differs from what was decided."""
    if found.model != model:
        return f"is about the model {found.model!r}, not {model!r}"
    if found.verdict != "retrain":
        return f"asks for no training: its verdict is {found.verdict!r} ({found.reason})"
    if found.run_id not in (run_id, _CLEARED.sub("", run_id)):
        return f"asks for the run {found.run_id!r}, not {run_id!r}"
    if as_of is None or in_utc(datetime.fromisoformat(as_of)) != found.window_end:
        return f"asks for a training as of {found.window_end.isoformat()}, not {as_of}"
    return None
