"""The policies that replay tries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from math import floor, isfinite, isnan, log10
from statistics import median_low
from typing import Any

from keepfit.policy.decide import faults
from keepfit.policy.matrix import Matrix
from keepfit.policy.signals import Score, Signals
from keepfit.policy.wording import days, percent
from keepfit.spec.fields import duration_text
from keepfit.spec.policy import Calendar, PolicySpec

CALENDARS = (1, 2, 4, 8, 13)
"""In windows."""
FALSE_ALARMS = (0.05, 0.2)
"""The share of quiet windows in which a threshold may call for a training."""
PRESENT = "the present policy"
_LEAST = 1e-6
"""No threshold is smaller."""
_FREE: Mapping[str, Any] = {"cooldown": timedelta(), "budget": None, "max_refused": None}
_Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """A policy to try."""

    name: str
    policy: PolicySpec
    restrained: bool = True
    """With the model's own cool-down, budget and circuit breaker; without any otherwise."""

    @property
    def size(self) -> int:
        """How much there is to understand: nothing for never, 1 for a calendar, more for signals."""
        return sum(_size(each) for each in self.policy.rules)

    @property
    def title(self) -> str:
        """The name, and whether anything holds it back."""
        return self.name if self.restrained else f"{self.name}, not held back"


def _size(rule: Any) -> int:
    inner = getattr(rule, "of", None)
    if inner is None:
        return 1 if rule.rule == "calendar" else 2
    return 1 + sum(_size(each) for each in (inner if isinstance(inner, tuple) else (inner,)))


def candidates(own: PolicySpec, matrix: Matrix, price: float, windows: range) -> tuple[Candidate, ...]:
    """Return what to try: the present policy first, never, and each other with and without its restraint.

    A present policy that is one of the others goes by that one's name.

    Args:
        own: The model's present policy.
        matrix: What was measured.
        price: Of a training.
        windows: Those to choose on: thresholds are taken from them alone.
    """
    tried = [Candidate("never", _policy(own))]
    for name, rules in _rule_sets(matrix, price, windows):
        held = _policy(own, *rules)
        tried.append(Candidate(name, held))
        if (free := _free(held)) != held:
            tried.append(Candidate(name, free, restrained=False))
    plain = own.model_copy(update={"because": ""})
    same = next((each for each in tried if each.policy == plain), None)
    present = replace(same, policy=own) if same else Candidate(PRESENT, own)
    return (present, *(each for each in tried if each is not same))


def _free(held: PolicySpec) -> PolicySpec:
    """Take all restraint away; but a calendar that was refused waits for its next day, as plain ones do."""
    free = held.model_copy(update=_FREE)
    alone = held.rules[0] if len(held.rules) == 1 else None
    return free.model_copy(update={"cooldown": alone.every}) if isinstance(alone, Calendar) else free


def _policy(own: PolicySpec, *rules: _Fields) -> PolicySpec:
    kept = {name: getattr(own, name) for name in PolicySpec.model_fields if name not in ("rules", "because")}
    return PolicySpec.model_validate({"rules": rules, **kept})


def calendar_name(every: timedelta) -> str:
    """Name the policy that trains so often."""
    return f"every {days(every)}"


def window_length(matrix: Matrix) -> timedelta:
    """Return how long a window is."""
    return median_low(each.end - each.start for each in matrix.windows)


def _rule_sets(matrix: Matrix, price: float, windows: range) -> Iterator[tuple[str, tuple[_Fields, ...]]]:
    length = window_length(matrix)
    yield from ((calendar_name(each * length), (_calendar(each * length),)) for each in CALENDARS)
    yield from ((f"drift share {share}", (_drift(share),)) for share in (0.5, 0.3))
    yield from ((f"{percent(by)} worse", (_worse(by),)) for by in (0.02, 0.05, 0.1, 0.2))
    yield from ((f"2 of 3 windows: {name}", (_two_of_three(rule),)) for name, rule in _persistent())
    for trigger, what in (("prediction_drift", "prediction drift"), ("weighted_drift", "weighted drift")):
        for rate, limit in _thresholds(_quiet_scores(trigger, matrix, windows)):
            yield f"{what} {limit:g} ({percent(rate)} false alarms)", ({"rule": trigger, "threshold": limit},)
    for share in (1.0, 0.5, 0.25):
        yield f"regret {share * price:g}", ({"rule": "regret", "cost": share * price},)
    for horizon in (4, 8):
        yield f"upf over {horizon} windows", ({"rule": "upf", "cost": price, "horizon": horizon},)
    longest = CALENDARS[-1] * length
    for name, rule in (("5 % worse", _worse(0.05)), (f"regret {price:g}", {"rule": "regret", "cost": price})):
        yield f"{name}, or {calendar_name(longest)}", (rule, _calendar(longest))


def _persistent() -> Iterator[tuple[str, _Fields]]:
    yield "drift share 0.3", _drift(0.3)
    yield "5 % worse", _worse(0.05)


def _calendar(every: timedelta) -> _Fields:
    return {"rule": "calendar", "every": duration_text(every)}


def _drift(share: float) -> _Fields:
    return {"rule": "drift_share", "share": share}


def _worse(by: float) -> _Fields:
    return {"rule": "performance", "worse_by": by}


def _two_of_three(rule: _Fields) -> _Fields:
    return {"rule": "m_of_n", "m": 2, "n": 3, "of": rule}


def _quiet_scores(trigger: str, matrix: Matrix, windows: range) -> list[float]:
    """Return a score in the windows right after a training, where no model has aged and no data is broken."""
    fresh = (matrix.cells[at, at].signals for at in windows)
    scores = (_score(trigger, each) for each in fresh if not faults(each.drift))
    return [each.value for each in scores if each.value is not None and not isnan(each.value)]


def _score(trigger: str, signals: Signals) -> Score:
    if trigger == "prediction_drift":
        return signals.prediction
    return signals.drift.weighted if signals.drift else Score()


def _thresholds(quiet: list[float]) -> Iterator[tuple[float, float]]:
    """Return the least thresholds that so small a share of the quiet windows reaches, each once."""
    ordered, seen = sorted(quiet, reverse=True), set()
    for rate in FALSE_ALARMS:
        allowed = floor(rate * len(ordered))
        if allowed == len(ordered) or not isfinite(ordered[allowed]):
            continue
        if (limit := _above(ordered[allowed])) not in seen:
            seen.add(limit)
            yield rate, limit


def _above(value: float) -> float:
    """Round up to three digits, to more than the value."""
    if value < _LEAST:
        return _LEAST
    unit = 10.0 ** (floor(log10(value)) - 2)
    steps = floor(value / unit)
    # What was cut off by the division may be the very last bit.
    return next(limit for up in (1, 2) if (limit := float(f"{(steps + up) * unit:.3g}")) > value)
