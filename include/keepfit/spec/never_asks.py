"""Rules of a policy that could never ask for a training, whatever happens: a silent no for good."""

import math
from collections.abc import Iterator
from datetime import timedelta

from keepfit.spec.cron import longest_interval
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.fields import duration_text
from keepfit.spec.model import ModelSpec
from keepfit.spec.policy import BY_REGRET

_MEASURED_AS = {
    "drift_share": "drift",
    "weighted_drift": "drift",
    "prediction_drift": "drift",
    "performance": "performance",
}
"""Rules by what `monitor` must not leave out for them."""


def never_asks(model: ModelSpec, rows: DatasetSpec | None) -> Iterator[tuple[str, str]]:
    """Yield the place of each such rule in the model's file, and what is wrong with it.

    Args:
        model: The model.
        rows: The dataset of its rows, where that is known.
    """
    yield from _unmeasured(model)
    yield from _too_short(model, rows)


def _unmeasured(model: ModelSpec) -> Iterator[tuple[str, str]]:
    default = "rules" not in model.policy.model_fields_set
    for place, rule in model.policy.parts():
        needed = _MEASURED_AS.get(rule.rule)
        if needed and getattr(model.monitor, needed) is None:
            told = f"`{rule.rule}` goes by `monitor.{needed}`, which is null: it could never ask."
            what = "Write `rules` without it" if default else "Take the rule out"
            field = "policy" if default else place
            yield field, f"{'its default rule ' if default else ''}{told} {what}, or measure it."


def _too_short(model: ModelSpec, rows: DatasetSpec | None) -> Iterator[tuple[str, str]]:
    schedule = model.monitor.schedule or (rows.schedule if rows else None)
    if schedule is None or not model.policy.asks(*BY_REGRET):
        return
    length = longest_interval(schedule)
    # Labels of a window's length may begin and end within a day.
    days = math.ceil(length / timedelta(days=1)) + 1
    needed = model.evaluate.gate.days_needed(days)
    if days >= needed:
        return
    for place, rule in model.policy.parts():
        if rule.rule in BY_REGRET:
            yield (
                place,
                f"`{rule.rule}` compares two models on newly labelled rows of {needed} days at least, and "
                f"the monitoring looks at windows of {duration_text(length)}: it could never ask. Let it "
                "look at longer ones, such as `monitor: {schedule: '@weekly'}`, or take the rule out.",
            )
