"""Judge whether a challenger may take the champion's place."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import pandas as pd

from keepfit.spec import ModelSpec
from keepfit.steps.checks import Check, Verdict, floors, limits
from keepfit.steps.claims import refuted
from keepfit.steps.compare import Comparison
from keepfit.steps.evaluate import Evaluation
from keepfit.steps.figures import figure
from keepfit.steps.judged_rows import JudgedRows
from keepfit.steps.metrics import find_metric, is_higher_better, tells_use


@dataclass(frozen=True)
class Judgement:
    """A verdict, and in words what it rests on."""

    verdict: Verdict
    reasons: tuple[str, ...]
    """What decided, and what could not be judged."""
    comparison: Comparison | None = None
    """By the objective, on all rows."""
    checks: tuple[Check, ...] = ()
    """All that was asked, whatever the answer."""

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read a judgement back, also one that knew less."""
        comparison = Comparison.of_json(stored["comparison"]) if stored["comparison"] else None
        checks = tuple(Check(**each) for each in stored.get("checks", ()))
        return cls(stored["verdict"], tuple(stored["reasons"]), comparison, checks)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self) | {"comparison": self.comparison.to_json() if self.comparison else None}


def gate(
    evaluation: Evaluation,
    scores: pd.DataFrame,
    spec: ModelSpec,
    *,
    gone: tuple[str, ...] = (),
    replace: bool = False,
) -> Judgement:
    """Hold the challenger against its floors and limits, then against the champion on the same rows.

    It fails if anything is shown to be wrong, passes if all that is asked is shown, and is undecided between.
    Without a champion it must do better than the baseline. A champion that cannot be scored leaves the
    verdict undecided: whether to give it up is for a human to say. A challenger clearly less bad than the
    champion passes even if it does no better than the baseline; the reasons then say so.

    Args:
        evaluation: How all did on the holdout.
        scores: The rows of the holdout.
        spec: The model.
        gone: The features that the champion needs and its feature service has no more.
        replace: Whether a human has said that a champion whose features are gone is given up.
    """
    rows = JudgedRows(evaluation, scores, spec)
    checks = []
    if alone := _without_comparison(evaluation, spec, ", ".join(gone), replace=replace):
        checks.append(alone)
    elif few := rows.too_few:
        checks.append(few)
    claims = list(rows.claims())
    answers = refuted(claims, (1 - rows.confidence) / 2)
    noted = {"better": rows.note}
    checks += [
        claim.check(no, rows.confidence, noted.get(claim.kind, ""))
        for claim, no in zip(claims, answers, strict=True)
    ]
    checks += [*floors(evaluation, spec), *limits(evaluation, spec), *rows.unjudged_columns()]
    verdict = _worst(checks)
    decisive = [check for check in checks if check.verdict == verdict]
    useless = _no_better_than_nothing(evaluation, spec) if verdict == "pass" else ()
    reasons = (*_told(decisive, verdict), *useless, *rows.unjudged())
    return Judgement(verdict, reasons, rows.comparison(), tuple(checks))


def _worst(checks: list[Check]) -> Verdict:
    found = {check.verdict for check in checks}
    return "fail" if "fail" in found else "undecided" if "undecided" in found else "pass"


def _told(checks: Sequence[Check], verdict: Verdict) -> Iterator[str]:
    """Say each thing in words; slices that all keep what is asked are one."""
    kept = Counter((each.column, each.metric, each.kind) for each in checks if each.column)
    brief = kept if verdict == "pass" else Counter()
    yield from (each.text for each in checks if not (each.column and brief))
    for (column, metric, kind), count in brief.items():
        what = "keeps its floor" if kind == "floor" else "is not worse by more than allowed"
        yield f"{metric} {what} in {'each of ' * (count > 1)}{count} slice{'s' * (count > 1)} of {column}"


def _without_comparison(evaluation: Evaluation, spec: ModelSpec, gone: str, *, replace: bool) -> Check | None:
    """Judge a challenger whose champion is not there, or cannot be scored."""
    champion = f"the champion (version {evaluation.champion_version})"
    if evaluation.champion_problem and gone and replace:
        why = f"since its feature service has no {gone} any more"
        return _against_baseline(evaluation, spec, f"{champion} is given up by `promotion: replace`, {why}")
    if evaluation.champion_problem:
        way = (
            "If its features are to stay away, train with `promotion: replace`: then the challenger need "
            "only be better than the baseline."
            if gone
            else "Promote this challenger by hand if the champion is to go."
        )
        text = f"{champion} cannot be scored: {evaluation.champion_problem} {way}"
        return Check("champion", "undecided", text)
    if evaluation.champion is None:
        return _against_baseline(evaluation, spec, "there is no champion yet")
    return None


def _no_better_than_nothing(evaluation: Evaluation, spec: ModelSpec) -> Iterator[str]:
    """Warn of a challenger that is only the lesser evil."""
    name = spec.evaluate.objective
    tells = evaluation.champion is not None and tells_use(find_metric(name))
    if tells and not _beats_baseline(evaluation, name):
        yield (
            f"the lesser evil: {name} {figure(evaluation.metrics[name])} is not better than the baseline's "
            f"{figure(evaluation.baseline[name])}, the mean label for every row"
        )


def _beats_baseline(evaluation: Evaluation, name: str) -> bool:
    ours, theirs = evaluation.metrics[name], evaluation.baseline[name]
    better = ours > theirs if is_higher_better(find_metric(name)) else ours < theirs
    return better or math.isnan(theirs)


def _against_baseline(evaluation: Evaluation, spec: ModelSpec, why: str) -> Check:
    name = spec.evaluate.objective
    ours, theirs = evaluation.metrics[name], evaluation.baseline[name]
    text = f"than the baseline's {figure(theirs)}, the mean label for every row; {why}"
    if _beats_baseline(evaluation, name):
        return Check("baseline", "pass", f"{name} {figure(ours)} is better {text}", name, value=ours)
    return Check("baseline", "fail", f"{name} {figure(ours)} is not better {text}", name, value=ours)
