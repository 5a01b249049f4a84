"""The rules of a policy, in the words a person reads; each says whether it calls for a training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any, Protocol

from keepfit import plugins
from keepfit.policy.signals import Score, Signals
from keepfit.policy.wording import days, percent
from keepfit.spec import policy as spec

Seen = Sequence[Signals]
"""The champion's windows so far, oldest first; the last is the one to decide about."""
FEWEST = 3
"""With fewer windows nothing is forecast."""


@dataclass(frozen=True)
class Finding:
    """What one rule says: `fires` is None where the data does not allow an answer."""

    trigger: str
    fires: bool | None
    text: str


class Policy(Protocol):
    """Says of the champion's windows whether the last one calls for a training; the same every time."""

    def __call__(self, seen: Seen) -> Finding:
        """Judge the last window."""


def find(rule: spec.Rule, seen: Seen) -> Finding:
    """Ask a rule of a spec."""
    return _RULES[rule.rule](rule, seen)


def _calendar(rule: spec.Calendar, seen: Seen) -> Finding:
    champion = seen[-1].champion
    if champion is None or champion.as_of is None:
        return Finding("calendar", None, "the champion's training time is not recorded")
    since = seen[-1].window_end - champion.as_of
    text = f"the champion's data is {days(since)} old (limit {days(rule.every)})"
    return Finding("calendar", since >= rule.every, text)


def _drift_share(rule: spec.DriftShare, seen: Seen) -> Finding:
    signal = seen[-1].drift
    if signal is None or signal.share is None:
        return Finding(
            "drift_share", None, f"drift not judged: {signal.reason if signal else 'not measured'}"
        )
    fires = signal.share >= rule.share
    sign = ">=" if fires else "<"
    text = (
        f"{len(signal.drifted)} of {signal.columns} columns drifted "
        f"(share {signal.share:.2f} {sign} {rule.share:.2f})"
    )
    return Finding("drift_share", fires, text)


def _performance(rule: spec.Performance, seen: Seen) -> Finding:
    signal = seen[-1].performance
    if signal is None:
        return Finding("performance", None, "performance not judged: not measured")
    if signal.value is None or signal.holdout is None:
        return Finding("performance", None, f"{signal.metric} not judged: {signal.reason}")
    sign = 1 if signal.higher_is_better else -1
    loss = sign * (signal.holdout - signal.value)
    fires = loss > rule.worse_by * abs(signal.holdout)
    base = f"{signal.metric} {signal.value:.4f} on {signal.rows:,} labelled rows is"
    if not fires:
        text = f"{base} within {percent(rule.worse_by)} of the holdout's {signal.holdout:.4f}"
        return Finding("performance", False, text)
    share = f"{percent(loss / abs(signal.holdout))} " if signal.holdout else ""
    text = f"{base} {share}worse than the holdout's {signal.holdout:.4f} (limit {percent(rule.worse_by)})"
    return Finding("performance", True, text)


def _threshold(trigger: str, what: str, score: Score, limit: float) -> Finding:
    if score.value is None:
        return Finding(trigger, None, f"{what} not judged: {score.reason}")
    fires = score.value >= limit
    noise = "" if score.noise is None else f", chance alone {score.noise:.3g}"
    text = f"{what} {score.value:.3g} {'>=' if fires else '<'} {limit:.3g}{noise}"
    return Finding(trigger, fires, text)


def _prediction_drift(rule: spec.PredictionDrift, seen: Seen) -> Finding:
    return _threshold("prediction_drift", "the scores' drift", seen[-1].prediction, rule.threshold)


def _weighted_drift(rule: spec.WeightedDrift, seen: Seen) -> Finding:
    drift = seen[-1].drift
    return _threshold(
        "weighted_drift", "the weighted drift", drift.weighted if drift else Score(), rule.threshold
    )


def _regret(rule: spec.Regret, seen: Seen) -> Finding:
    if why := _unknown_regret(seen[-1]):
        return Finding("regret", None, f"regret not judged: {why}")
    summed, windows = accumulated_regret(seen)
    fires = summed >= rule.cost
    text = (
        f"a fresh challenger would have saved {summed:.4g} in {windows} windows "
        f"{'>=' if fires else '<'} the cost of a training, {rule.cost:.4g}"
    )
    return Finding("regret", fires, text)


def accumulated_regret(seen: Seen) -> tuple[float, int]:
    """Add up the champion's regret: credit of windows in which it was the better one is not kept."""
    summed, windows = 0.0, 0
    for each in seen:
        if each.regret is not None and each.regret.value is not None:
            summed, windows = max(0.0, summed + each.regret.value), windows + 1
    return summed, windows


def _upf(rule: spec.Upf, seen: Seen) -> Finding:
    if why := _unknown_regret(seen[-1]):
        return Finding("upf", None, f"regret not forecast: {why}")
    known = [
        (at, each.regret.value, each.regret.noise or 0.0)
        for at, each in enumerate(seen, 1)
        if each.regret is not None and each.regret.value is not None
    ]
    if len(known) < FEWEST:
        return Finding("upf", None, f"regret not forecast: {len(known)} windows of {FEWEST} needed")
    mean, deviation = _forecast(known, len(seen), rule.horizon)
    chance = NormalDist(mean, deviation).cdf(rule.cost) if deviation else float(mean < rule.cost)
    fires = 1 - chance >= rule.confidence
    text = (
        f"the regret of the next {rule.horizon} windows is forecast as {mean:.4g} +- {deviation:.2g}: it "
        f"exceeds the cost of a training, {rule.cost:.4g}, with a chance of {percent(1 - chance)} "
        f"{'>=' if fires else '<'} {percent(rule.confidence)}"
    )
    return Finding("upf", fires, text)


def _forecast(known: Sequence[tuple[int, float, float]], age: int, horizon: int) -> tuple[float, float]:
    """Extrapolate the regret, which grows with the champion's age from nothing: its sum and deviation."""
    squares = sum(at * at for at, _, _ in known)
    slope = sum(at * value for at, value, _ in known) / squares
    residual = sum((value - slope * at) ** 2 for at, value, _ in known) / (len(known) - 1)
    variance = max(residual, sum(noise * noise for _, _, noise in known) / len(known))
    ahead = sum(range(age + 1, age + horizon + 1))
    return slope * ahead, sqrt(variance * (ahead * ahead / squares + horizon))


def _unknown_regret(signals: Signals) -> str:
    regret = signals.regret
    if regret is None:
        return "no challenger was trained"
    return regret.reason if regret.value is None else ""


def _new_rows(rule: spec.NewRows, seen: Seen) -> Finding:
    rows = seen[-1].new_rows
    if rows is None:
        return Finding("new_rows", None, "new labelled rows were not counted")
    fires = rows >= rule.at_least
    return Finding(
        "new_rows", fires, f"{rows:,} new labelled rows {'>=' if fires else '<'} {rule.at_least:,}"
    )


def _own(rule: spec.Own, seen: Seen) -> Finding:
    policy: Policy = plugins.find("policies", rule.function)(**rule.params)
    return policy(seen)


def _m_of_n(rule: spec.MofN, seen: Seen) -> Finding:
    first = max(0, len(seen) - rule.n)
    found = [find(rule.of, seen[: at + 1]) for at in range(first, len(seen))]
    fired = sum(each.fires is True for each in found)
    now = found[-1]
    fires = None if now.fires is None else now.fires and fired >= rule.m
    return Finding(now.trigger, fires, f"{fired} of the last {rule.n} windows ({rule.m} needed): {now.text}")


def _all(rule: spec.AllOf, seen: Seen) -> Finding:
    return _joined(rule.of, seen, all)


def _any(rule: spec.AnyOf, seen: Seen) -> Finding:
    return _joined(rule.of, seen, any)


def _joined(rules: Sequence[spec.Rule], seen: Seen, enough: Callable[[Sequence[bool]], bool]) -> Finding:
    found = [find(each, seen) for each in rules]
    known = [each.fires for each in found if each.fires is not None]
    # What could not be measured may still be decided by the rest: one "no" is enough for `all`.
    fires = enough([each.fires is True for each in found])
    blind = not fires and len(known) < len(found) and (enough is any or all(known))
    named = next((each for each in found if each.fires), found[0])
    return Finding(named.trigger, None if blind else fires, "; ".join(each.text for each in found))


_RULES: Mapping[str, Callable[[Any, Seen], Finding]] = {
    "calendar": _calendar,
    "drift_share": _drift_share,
    "performance": _performance,
    "prediction_drift": _prediction_drift,
    "weighted_drift": _weighted_drift,
    "regret": _regret,
    "upf": _upf,
    "new_rows": _new_rows,
    "own": _own,
    "m_of_n": _m_of_n,
    "all": _all,
    "any": _any,
}
