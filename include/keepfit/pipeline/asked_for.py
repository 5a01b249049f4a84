"""Holds the decision that a training's trigger names against the ledger."""

from keepfit.errors import ConfError
from keepfit.spec import Project


def refuse_unasked(project: Project, model: str | None, decision: str | None) -> None:
    """Refuse a decision that is not in the ledger, is another model's, or asks for no training.

    Raises:
        ConfError: The lineage would name a reason that nobody recorded.
    """
    if model is None or decision is None:
        return
    from keepfit.ledger import Ledger

    found = Ledger(project.locations.ledger_url).decision(decision)
    if found is None:
        what = "is not in the ledger"
    elif found.model != model:
        what = f"is about the model {found.model!r}, not {model!r}"
    elif found.verdict != "retrain":
        what = f"asks for no training: its verdict is {found.verdict!r} ({found.reason})"
    else:
        return
    raise ConfError(
        f"The decision {decision!r} {what}. `keepfit decisions {model}` lists those there are. "
        "To train for a reason of your own, leave `decision` out and give a `reason`."
    )
