"""Rules that weigh what the champion's age costs against what a training costs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import inf, isfinite, sqrt
from statistics import NormalDist
from typing import NamedTuple

from keepfit.policy.findings import Finding, Seen, is_known, unknown
from keepfit.policy.signals import Signals
from keepfit.policy.wording import percent
from keepfit.spec.policy import Regret, Upf

FEWEST = 3
"""With fewer windows nothing is forecast."""


@dataclass(frozen=True)
class Owed:
    """What a fresh challenger would have saved, summed over windows."""

    value: float = 0.0
    noise: float = 0.0
    """The standard error of the sum."""
    windows: int = 0


def accumulated(rule: Regret, seen: Seen) -> Finding:
    """Ask when the regret adds up to the cost of a training, by more than chance."""
    if why := _not_measured(seen[-1]):
        return unknown("regret", "regret not judged", why)
    owed = accumulated_regret(seen)
    fires = owed.value >= rule.cost and owed.value > owed.noise
    sign = ">=" if owed.value >= rule.cost else "<"
    chance = f", chance alone {owed.noise:.2g}" if owed.noise else ""
    text = (
        f"a fresh challenger would have saved {owed.value:.4g} in {owed.windows} windows{chance} "
        f"{sign} the cost of a training, {rule.cost:.4g}"
    )
    return Finding("regret", fires, text)


def accumulated_regret(seen: Seen) -> Owed:
    """Add up the champion's regret since it was last of use.

    Credit is not kept: a champion that was the better one for a while must not be let off harm that comes
    after it (Page's cumulative sum).
    """
    value, variance, windows = 0.0, 0.0, 0
    for each in seen:
        regret = each.regret
        if regret is None or not is_known(regret.value):
            continue
        value, variance, windows = value + regret.value, variance + _squared(regret.noise), windows + 1
        if value <= 0:
            value, variance, windows = 0.0, 0.0, 0
    return Owed(value, sqrt(variance), windows)


def forecast(rule: Upf, seen: Seen) -> Finding:
    """Ask when the regret of the next windows is likely to exceed the cost.

    After Regol et al., "When to retrain a machine learning model", ICML 2025: forecast with what is uncertain
    about it, and retrain where the cost is exceeded with the confidence asked for.
    """
    if why := _not_measured(seen[-1]):
        return unknown("upf", "regret not forecast", why)
    points = tuple(_points(seen))
    if len(points) < FEWEST:
        return unknown("upf", "regret not forecast", f"{len(points)} windows of {FEWEST} needed")
    mean, deviation = _extrapolated(points, rule.horizon)
    if not (isfinite(mean) and isfinite(deviation)):
        return unknown("upf", "regret not forecast", "its numbers are too large")
    chance = 1 - NormalDist(mean, deviation).cdf(rule.cost) if deviation else float(mean > rule.cost)
    fires = chance >= rule.confidence
    text = (
        f"the regret of the next {rule.horizon} windows is forecast as {mean:.4g} +- {deviation:.2g}: it "
        f"exceeds the cost of a training, {rule.cost:.4g}, with a chance of {percent(chance)} "
        f"{'>=' if fires else '<'} {percent(rule.confidence)}"
    )
    return Finding("upf", fires, text)


class _Point(NamedTuple):
    age: float
    """The champion's, in windows."""
    regret: float
    noise: float | None


def _points(seen: Seen) -> Iterator[_Point]:
    last = seen[-1]
    length = last.window_end - last.window_start
    as_of = last.champion.as_of if last.champion else None
    by_time = as_of is not None and length > timedelta()
    for at, each in enumerate(seen, 1):
        if each.regret is None or not is_known(each.regret.value):
            continue
        age = (each.window_end - as_of) / length if as_of and by_time else float(at)
        if age > 0:
            yield _Point(age, each.regret.value, each.regret.noise)


def _extrapolated(points: Sequence[_Point], horizon: int) -> tuple[float, float]:
    """Return the regret summed over the next windows, and its deviation.

    Regret grows with the champion's age from nothing: least squares through the origin. Its points scatter at
    least as much as their own noise says.
    """
    squares = sum(each.age * each.age for each in points)
    slope = sum(each.age * each.regret for each in points) / squares
    away = [each.regret - slope * each.age for each in points]
    scatter = sum(each * each for each in away) / (len(points) - 1)
    noise = sum(_squared(each.noise) for each in points) / len(points)
    variance = max(scatter, noise)
    ahead = horizon * points[-1].age + horizon * (horizon + 1) / 2
    return slope * ahead, sqrt(variance * (ahead * ahead / squares + horizon))


def _squared(noise: float | None) -> float:
    """Square a standard error; one that is no number is no bound at all."""
    if noise is None:
        return 0.0
    return noise * noise if isfinite(noise) else inf


def _not_measured(signals: Signals) -> str:
    regret = signals.regret
    if regret is None:
        return "no challenger was trained"
    if regret.value is None:
        return regret.reason or "not measured"
    return "" if isfinite(regret.value) else "it is not a finite number"
