"""The report of a replay: what it says, and that it needs nothing from elsewhere."""

import re
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from keepfit.backends.plots import Curve, Marks, Panel, draw
from keepfit.policy.signals import DriftSignal, MissingChange, PerformanceSignal, RegretSignal, Score
from keepfit.spec.model import ModelSpec
from keepfit.steps.choose_policy import Choice, choose_policy, to_price
from keepfit.steps.replay_report import write_report
from keepfit.testing import matrix

SPEC = ModelSpec.model_validate(
    {
        "name": "hand_made",
        "entities": {"dataset": "rows"},
        "features": "rows",
        "label": {"column": "label", "delay": "14d"},
        "task": "classification",
        "train": {"holdout": "7d", "candidates": [{"trainer": "lightgbm"}]},
        "evaluate": {"objective": "log_loss"},
    }
)
BROKEN_AT = 9


def loss(cut: int, at: int) -> float | None:
    return None if at == 3 else float(sum(cut < each <= at for each in (5, 12, 17, 22)))


def measured(cut: int, at: int) -> Mapping[str, Any]:
    lost = loss(cut, at) or 0.0
    missing = (MissingChange("a", 0.0, 0.9),) if at == BROKEN_AT else ()
    return {
        "regret": RegretSignal(lost, 0.0, 900),
        "performance": PerformanceSignal("log_loss", False, 900, 0.5 + lost / 10, 0.5),
        "drift": DriftSignal(900, 4, (), (at % 4) / 4, missing=missing, weighted=Score(at / 50)),
        "prediction": Score(lost / 5),
    }


@pytest.fixture(scope="module")
def choice() -> Choice:
    kinds = [
        matrix(26, loss, measured=measured, passes=lambda _old, new: new % 5 != 0, kind=kind)
        for kind in ("expanding", "trailing:91d")
    ]
    return choose_policy(SPEC, kinds, cost=0.8)


@pytest.fixture(scope="module")
def page(choice: Choice) -> str:
    return write_report(choice).html


def text_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def test_the_report_says_what_was_chosen_and_what_that_rests_on(choice: Choice, page: str) -> None:
    said, found = text_of(page), choice.ranking
    assert f"Suggested: {found.winner.candidate.title}." in said
    assert f"it cost {to_price(found.winner.reported_on.cost(0.8), 0.8)} with" in said
    cheaper = sum(each.reported_on.cost(0.8) > found.winner.reported_on.cost(0.8) for each in found.fixed)
    assert f"Of the 7 usual policies {cheaper} cost more there." in said
    assert choice.policy.because in said
    assert "expanding: 26 windows, 351 pairs of a model and a window" in said
    assert "a training costs 0.8 of log_loss summed over windows; labels come after 14d" in said
    assert "challengers must pass the gate" in said
    assert "it enters the part reported on with the model its own decisions left it" in said
    assert "Little evidence: 13 windows." in said
    assert "1 of the 13 windows to choose on have no loss, and count for no policy." in said


def test_it_is_said_that_the_first_models_drift_could_not_be_judged() -> None:
    few = DriftSignal(900, 0, (), None, "the reference has 329 rows of 500 needed")

    def said(first_judged: int) -> list[str]:
        def blind(cut: int, at: int) -> Mapping[str, Any]:
            known = measured(cut, at)
            return known if cut >= first_judged else {**known, "drift": few}

        found = choose_policy(SPEC, [matrix(26, loss, measured=blind)], cost=0.8)
        return [line for line in found.lines() if line.startswith("Nothing is said here")]

    told = (
        "Nothing is said here of the rules that go by drift: under the first model it could not be judged in "
        "any window (the reference has 329 rows of 500 needed), so they cost what never costs. To try them, "
    )
    assert said(2) == [f"{told}begin with --from 2024-01-15, or lower monitor.drift.min_rows."]
    assert said(26) == [f"{told}lower monitor.drift.min_rows."]
    assert not said(0)


def test_the_suggestion_stands_in_the_report_letter_by_letter(choice: Choice, page: str) -> None:
    (block,) = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
    assert unescape(block) == choice.suggestion


def test_every_policy_is_in_both_tables_with_its_figures(choice: Choice, page: str) -> None:
    rows = [text_of(row) for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL)]
    assert len(rows) == 2 * (1 + len(choice.ranking.tried))
    for tried in choice.ranking.tried:
        for walked in tried.walks:
            cost = to_price(walked.cost(0.8), 0.8)
            assert any(row.startswith(choice.title(tried)) and cost in row.split() for row in rows)


def test_the_plots_show_each_policy_that_is_named(choice: Choice, page: str) -> None:
    drawn = [text_of(each) for each in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    frontier, regret, lanes, heat = drawn
    assert "same cost as chosen" in frontier
    assert "(chosen)" in regret
    assert "never" in regret
    for tried in choice.shown():
        assert choice.title(tried)[:40] in lanes
    for event in ("trained", "trained, refused by the gate", "broken data", "oracle"):
        assert event in lanes
    assert "worse than a fresh model" in heat


def test_the_report_loads_nothing_and_names_no_address(page: str) -> None:
    page = re.sub(r"base64,[A-Za-z0-9+/=\s]+", "", page)
    assert not re.findall(r"https?:|//[a-z]|<script|<link|@import", page)
    assert {each[:5] for each in re.findall(r'(?:src|href)="([^"#][^"]*)"', page)} <= {"data:"}
    assert "(here:" not in page


def test_the_report_in_markdown_says_where_there_is_more_to_see(choice: Choice) -> None:
    markdown = write_report(choice).markdown
    assert "*frontier: see the HTML page*" in markdown
    assert "(here:" not in markdown


def test_the_report_is_the_same_each_time(choice: Choice, page: str) -> None:
    assert write_report(choice).html == page


def test_what_a_user_named_is_no_more_than_text_in_the_report(choice: Choice) -> None:
    ranking = replace(choice.ranking, objective="<b>$loss</b>$", model="_my_ <script>")
    html = write_report(replace(choice, ranking=ranking)).html
    assert "<script" not in html
    assert "<b>" not in html
    assert "Replay of _my_ <script>" in text_of(html)
    assert "mean <b>$loss</b>$, lower is better" in text_of(html)


def test_the_label_of_a_point_is_left_out_where_it_would_cover_another() -> None:
    marks = Marks("some", [0, 0, 1], [0, 0, 1], "#222222", labels=["first", "covered", "far"])
    drawn = text_of(draw([Panel("t", "x", "y", marks=[marks])], "Three points."))
    assert "first" in drawn
    assert "far" in drawn
    assert "covered" not in drawn


def test_a_plot_says_what_it_shows_to_those_who_do_not_see_it() -> None:
    drawn = draw([Panel("t", "x", "y", curves=[Curve("c", [0, 1], [0, 1], "#222222")])], 'A "line" & more')
    assert drawn.startswith('<svg role="img" aria-label="A &quot;line&quot; &amp; more"')
