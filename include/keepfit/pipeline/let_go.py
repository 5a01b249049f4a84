"""Trainings that an answer lets go, and which of them give way to others."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache

from keepfit.ledger import Decision, IncidentAnswer, Past
from keepfit.pipeline.answers import Answers, is_released
from keepfit.policy import FleetLimit, Signals
from keepfit.policy.restraint import restraint
from keepfit.spec import Project
from keepfit.spec.fleet import FleetSpec
from keepfit.spec.window import moved
from keepfit.steps.decide import Memory


def limit_of(spec: FleetSpec) -> FleetLimit:
    """Say in the policy's terms what holds for all models together."""
    return FleetLimit(spec.budget, spec.budget_period / timedelta(days=1))


def near(past: Past, spec: FleetSpec, end: datetime) -> list[Decision]:
    """List what all models asked for, or may yet be released to, that the fleet's budget counts at a time."""
    if spec.budget is None:
        return []
    period = spec.budget_period
    within = (moved(end, -period, "The fleet's budget"), moved(end, period, "The fleet's budget"))
    found = (*past.asked(*within), *past.held(*within))
    return [each for each in found if each.trigger != "feature_change"]


def giving_way(project: Project, past: Past, answer: IncidentAnswer) -> dict[str, str]:
    """Return the trainings that an answer calls real and that give way to others, and why, by their keys.

    Weeks may lie between a window and its answer: cool-down and budgets are counted again by what was asked
    for and released meanwhile. The last window goes first, and of one window who asked first.

    Args:
        project: With the policies as they are now.
        past: The ledger, with all others waiting.
        answer: The one that is about to be recorded.
    """
    incident = past.incident(answer.incident_key)
    if incident is None:
        return {}
    before = past.answers()
    answers = {**before, answer.incident_key: answer}
    called = [each for each in past.concerned(incident) if is_released(each, answers)]
    called.sort(key=lambda each: (-each.window_end.timestamp(), each.decided_at))
    taken: set[str] = set()
    kept: dict[str, str] = {}
    waits = _restraint(project, past, before)
    for each in called:
        if why := waits(each, taken):
            kept[each.key] = why
        else:
            taken.add(each.key)
    return kept


def _restraint(project: Project, past: Past, before: Answers) -> Callable[[Decision, set[str]], str | None]:
    """Return what says why a training gives way; it reads each model's past once, and the fleet's."""
    spec = project.spec.fleet
    own, fleet = cache(past.decisions), cache(lambda end: near(past, spec, end))
    trainings = cache(past.trainings)

    def restrained(decision: Decision, taken: set[str]) -> str | None:
        model, stored = project.models.get(decision.model), decision.evidence.get("signals")
        if model is None or not stored:
            return None
        signals, mine = Signals.of_json(stored), own(decision.model)
        others = fleet(decision.window_end)
        released = {each.key for each in (*mine, *others) if each.key in taken or is_released(each, before)}
        memory = Memory(decisions=mine, trainings=trainings(decision.model), fleet=others, released=released)
        history = memory.history(decision.key, decision.window)
        later = max(history.retrained, default=decision.window_end)
        if later > decision.window_end:
            return f"the window ending {later:%Y-%m-%d %H:%M} asked for a training, which knows this one too"
        return restraint(decision.trigger, signals, model.policy, history, limit_of(spec))

    return restrained
