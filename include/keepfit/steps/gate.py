"""Judge whether a challenger may take the champion's place."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import pandas as pd

from keepfit.spec import ModelSpec
from keepfit.steps.compare import FEWEST_DAYS, Comparison, compare
from keepfit.steps.evaluate import Evaluation
from keepfit.steps.metrics import find_metric, is_higher_better


@dataclass(frozen=True)
class Judgement:
    """A verdict, and in words what it rests on."""

    verdict: Literal["pass", "fail", "undecided"]
    reasons: tuple[str, ...]
    comparison: Comparison | None = None

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read a judgement back."""
        comparison = Comparison(**stored["comparison"]) if stored["comparison"] else None
        return cls(stored["verdict"], tuple(stored["reasons"]), comparison)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


def gate(
    evaluation: Evaluation,
    scores: pd.DataFrame,
    spec: ModelSpec,
    *,
    gone: tuple[str, ...] = (),
    replace: bool = False,
) -> Judgement:
    """Hold the challenger against its floors, then against the champion on the same rows.

    Without a champion it must do better than the baseline. A champion that cannot be scored leaves the
    verdict undecided: whether to give it up is for a human to say.

    Args:
        evaluation: How all did on the holdout.
        scores: The rows of the holdout.
        spec: The model.
        gone: The features that the champion needs and its feature service has no more.
        replace: Whether a human has said that a champion whose features are gone is given up.
    """
    if missed := tuple(_missed_floors(evaluation, spec)):
        return Judgement("fail", missed)
    if evaluation.champion_problem and gone:
        return _without_features(evaluation, spec, ", ".join(gone), replace=replace)
    if evaluation.champion_problem:
        return Judgement(
            "undecided",
            (
                f"the champion (version {evaluation.champion_version}) cannot be scored: "
                f"{evaluation.champion_problem} Promote this challenger by hand if the champion is to go.",
            ),
        )
    if evaluation.champion is None:
        return _against_baseline(evaluation, spec, "there is no champion yet")
    return _against_champion(evaluation, evaluation.champion, scores, spec)


def _missed_floors(evaluation: Evaluation, spec: ModelSpec) -> Iterator[str]:
    for name, floor in spec.evaluate.gate.floors.items():
        value = evaluation.metrics[name]
        upwards = is_higher_better(find_metric(name))
        if math.isnan(value):
            yield f"{name} cannot be computed on the holdout, so nothing shows it meets {_figure(floor)}"
        elif upwards and value < floor:
            yield f"{name} {_figure(value)} is below its floor {_figure(floor)}"
        elif not upwards and value > floor:
            yield f"{name} {_figure(value)} is above its limit {_figure(floor)}"


def _without_features(evaluation: Evaluation, spec: ModelSpec, gone: str, *, replace: bool) -> Judgement:
    champion = f"the champion (version {evaluation.champion_version})"
    if replace:
        why = f"since its feature service has no {gone} any more"
        return _against_baseline(evaluation, spec, f"{champion} is given up by `promotion: replace`, {why}")
    told = (
        f"{champion} cannot be scored: {evaluation.champion_problem} If its features are to stay away, "
        "train with `promotion: replace`: then the challenger need only be better than the baseline."
    )
    return Judgement("undecided", (told,))


def _against_baseline(evaluation: Evaluation, spec: ModelSpec, why: str) -> Judgement:
    name = spec.evaluate.objective
    ours, theirs = evaluation.metrics[name], evaluation.baseline[name]
    better = ours > theirs if is_higher_better(find_metric(name)) else ours < theirs
    text = f"than the baseline's {_figure(theirs)}, the mean label for every row; {why}"
    if better or math.isnan(theirs):
        return Judgement("pass", (f"{name} {_figure(ours)} is better {text}",))
    return Judgement("fail", (f"{name} {_figure(ours)} is not better {text}",))


def _against_champion(
    evaluation: Evaluation, champion: Mapping[str, float], scores: pd.DataFrame, spec: ModelSpec
) -> Judgement:
    rule, name = spec.evaluate.gate, spec.evaluate.objective
    metric = find_metric(name)
    found = compare(
        scores, metric, resamples=rule.resamples, confidence=rule.confidence, seed=spec.train.seed
    )
    gain_low, gain_high = (found.low, found.high) if is_higher_better(metric) else (-found.high, -found.low)
    figures = (
        f"the champion's {_figure(champion[name])} (difference {_signed(found.difference)}, "
        f"{rule.confidence * 100:g} % interval [{_signed(found.low)}, {_signed(found.high)}])"
    )
    text = f"than {figures}" + (f" by the {rule.min_effect:g} asked for" if rule.min_effect else "")
    ours = f"{name} {_figure(evaluation.metrics[name])}"
    if found.days < FEWEST_DAYS:
        few = f"the holdout has rows of {found.days} days; a comparison needs {FEWEST_DAYS}."
        return Judgement("undecided", (f"{few} Lengthen `train.holdout`",), found)
    if gain_low > rule.min_effect:
        return Judgement("pass", (f"{ours} is better {text}",), found)
    if gain_high <= rule.min_effect:
        return Judgement("fail", (f"{ours} is not better {text}",), found)
    return Judgement("undecided", (f"{ours} is not clearly better {text}",), found)


_LARGE = 1000


def _figure(value: float) -> str:
    return f"{value:.4f}" if abs(value) < _LARGE else f"{value:,.1f}"


def _signed(value: float) -> str:
    return f"{value:+.4f}" if abs(value) < _LARGE else f"{value:+,.1f}"
