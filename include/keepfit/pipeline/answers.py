"""What the answers to its incidents mean for a decision: for its training and for its data."""

from collections.abc import Mapping
from dataclasses import replace

from keepfit.ledger import Decision, IncidentAnswer, train_run_id

Answers = Mapping[str, IncidentAnswer]


def is_broken(decision: Decision, answers: Answers) -> bool:
    """Tell whether nothing is to be learned from a window: it broke, or what held it is called a fault."""
    said = _said_of(decision, answers)
    if decision.verdict == "held":
        return "fault" in said
    return decision.verdict == "blocked" and said != {"real"}


def is_doubted(decision: Decision, answers: Answers) -> bool:
    """Tell whether a window broke or is part of an incident, and nobody has called that real."""
    return decision.verdict in ("blocked", "held") and _said_of(decision, answers) != {"real"}


def is_waiting(decision: Decision, answers: Answers) -> bool:
    """Tell whether a training is held that an answer to come may start."""
    said = _said_of(decision, answers)
    return _is_held_alone(decision) and None in said and "fault" not in said


def is_released(decision: Decision, answers: Answers) -> bool:
    """Tell whether a training was held, all its causes have been called real, and nothing else holds it."""
    if not _is_held_alone(decision) or _said_of(decision, answers) != {"real"}:
        return False
    return not any(decision.key in (answers[key].kept_back or ()) for key in decision.incidents)


def as_released(decision: Decision, answers: Answers) -> Decision:
    """Return a decision as it counts by now: a training that was held and released is one to start."""
    if not is_released(decision, answers):
        return decision
    return replace(decision, verdict="retrain", run_id=train_run_id(decision.window))


def _is_held_alone(decision: Decision) -> bool:
    return decision.verdict == "held" and not decision.restrained


def _said_of(decision: Decision, answers: Answers) -> set[str | None]:
    return {answers[key].answer if key in answers else None for key in decision.incidents}
