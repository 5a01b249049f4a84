"""Write a replay's report: one page that needs nothing else, with the policy it suggests and why."""

from collections.abc import Iterator
from pathlib import Path

from keepfit.backends.page import Page, preformatted, render
from keepfit.steps.choice_words import basis, evidence, of_walk
from keepfit.steps.choose_policy import Choice, dates, to_price
from keepfit.steps.replay_plots import plots

_TEMPLATE = Path(__file__).with_name("replay_report.md.jinja")


def write_report(choice: Choice) -> Page:
    """Make the report, as Markdown and as HTML with its plots."""
    found = choice.ranking
    facts = {
        "model": found.model,
        "objective": found.objective,
        "verdict": _verdict(choice),
        "because": choice.policy.because,
        "basis": [*_about_history(choice), *basis(choice)],
        "evidence": [line.strip() for line in evidence(choice)],
        "parts": [
            (name, dates(part), _rows(choice, at))
            for at, (name, part) in enumerate(zip(("chosen on", "reported on"), choice.parts, strict=True))
        ],
    }
    inserted = plots(choice) | {"suggestion": preformatted(choice.suggestion)}
    return render(_TEMPLATE, f"Replay of {found.model}", facts, inserted)


def _verdict(choice: Choice) -> str:
    found, price = choice.ranking, choice.ranking.price
    now = " (as now)" if found.winner.candidate.policy.rules == found.present.candidate.policy.rules else ""
    walked = found.winner.reported_on
    cost, present, never = (
        to_price(each.reported_on.cost(price), price)
        for each in (found.winner, found.present, found.fixed[0])
    )
    usual = [each for each in found.fixed if each is not found.winner]
    dearer = sum(each.reported_on.cost(price) > walked.cost(price) for each in usual)
    return (
        f"Suggested: {found.winner.candidate.title}{now}. On {dates(found.reporting)}, which had no say in "
        f"the choice, it cost {cost} with {walked.trainings} trainings, "
        f"{to_price(found.reporting.regret(walked, price), price)} more than an oracle that "
        f"knows the future; the present policy cost {present}, never training {never}. "
        f"Of the {len(usual)} usual policies {dearer} cost more there."
    )


def _about_history(choice: Choice) -> Iterator[str]:
    first = choice.matrices[0]
    for matrix in choice.matrices:
        passed = sum(matrix.passes.values())
        yield (
            f"{matrix.kind}: {len(matrix.windows)} windows, {len(matrix.cells):,} pairs of a model and a "
            f"window; the gate lets {passed:,} of {len(matrix.passes):,} challengers pass"
        )
    yield (
        f"one history, {first.windows[0].start:%Y-%m-%d} to {first.windows[-1].end:%Y-%m-%d}: another would "
        "have shown other figures"
    )


def _rows(choice: Choice, at: int) -> list[list[str]]:
    found, part = choice.ranking, choice.parts[at]
    return [[choice.title(each), *of_walk(each.walks[at], part, found.price)] for each in found.tried]
