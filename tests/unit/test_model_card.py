"""Model cards: what they say, and that nothing written by a user becomes more than text in them."""

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.backends.page import render
from keepfit.spec import ModelSpec
from keepfit.steps.evaluate import Evaluation
from keepfit.steps.gate import Judgement
from keepfit.steps.importance import Importance, Importances
from keepfit.steps.intervals import SliceEvaluation
from keepfit.steps.model_card import CardFacts, write_card
from keepfit.steps.register import Lineage
from keepfit.steps.training_set import TrainingSet

START = datetime(2024, 1, 1, tzinfo=UTC)
MODEL: dict[str, Any] = {
    "name": "returns",
    "task": "classification",
    "entities": {"dataset": "orders"},
    "features": "shopper",
    "label": {"column": "returned", "delay": "3d"},
    "train": {"holdout": "14d", "candidates": [{"trainer": "lightgbm"}]},
    "evaluate": {"objective": "roc_auc"},
}


class Reader(HTMLParser):
    """Collects a page's tags and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def facts(**changes: Any) -> CardFacts:
    evaluation = Evaluation.of_json(
        {
            "challenger": 0,
            "candidates": [{"roc_auc": 0.75}],
            "baseline": {"roc_auc": 0.5},
            "champion": None,
            "champion_version": None,
            "champion_problem": None,
            "rows": 300,
            "start": "2024-03-01T00:00:00+00:00",
            "end": "2024-03-14T00:00:00+00:00",
            "intervals": {"roc_auc": (0.7, 0.8)},
            "latency_ms": 0.25,
        }
    )
    built = TrainingSet(
        path=Path("training_set.parquet"),
        rows=1200,
        features={"amount": "float64", "city": "string"},
        digest="d" * 64,
        as_of=START,
        first=START,
        last=START,
        registry_digest="r" * 16,
        versions={"orders": 4},
        dropped={"no label": 0},
        empty_features=("shoe_size",),
        rows_digest="",
        entities_digest="",
    )
    lineage = Lineage(
        run_id="run-1",
        as_of="2024-03-17T00:00:00+00:00",
        verdict="pass",
        trainer="lightgbm",
        data_window="2024-01-01T00:00:00+00:00/2024-02-28T00:00:00+00:00",
        data_digest="d" * 64,
        rows=900,
        holdout="h",
        feature_service="shopper",
        registry_digest="r" * 16,
        spec_digest="s" * 16,
        seed=7,
        reason="habits changed",
    )
    made = CardFacts(
        version="3",
        spec=ModelSpec.model_validate(MODEL),
        lineage=lineage,
        built=built,
        evaluation=evaluation,
        judgement=Judgement("pass", ("roc_auc 0.7500 is better than the baseline's",)),
        params={"num_leaves": 7},
        missing={"amount": 0.125, "city": 0.0},
    )
    return replace(made, **changes)


def test_a_card_says_what_the_version_is_and_how_it_did() -> None:
    lines = write_card(facts()).markdown.splitlines()
    for line in (
        "> **Gate: pass.** roc_auc 0.7500 is better than the baseline's",
        "| Predicts | returned of orders, known 3d after the row |",
        "| Parameters | num_leaves=7 |",
        "| Time for one row, size | 0.25 ms |",
        "| Training | 2024-01-01T00:00:00+00:00 | 2024-02-28T00:00:00+00:00 | 900 |",
        "| amount | float64 | 12.5% |  |",
        "| roc_auc (objective) | 0.7500 | 0.7000 to 0.8000 |  | 0.5000 |",
        "| Digest of the spec | ssssssssssssssss |",
        "| Its reason | habits changed |",
    ):
        assert line in lines


def test_a_card_says_what_each_feature_is_worth() -> None:
    worth = {"amount": Importance(0.03), "city": Importance(-0.001)}
    card = write_card(facts(importances=Importances("roc_auc", 4000, worth))).markdown
    assert "| amount | float64 | 12.5% | 100.0% |" in card
    assert "| city | string | 0.0% | 0.0% |" in card
    assert "its part of what roc_auc loses on 4,000 rows of the holdout" in card
    assert "What each is worth to it was not measured." in write_card(facts()).markdown


def test_a_card_says_what_was_not_measured() -> None:
    card = write_card(facts(evaluation=replace(facts().evaluation, intervals={}), left_out=("age",))).markdown
    assert "There are no intervals: the holdout has rows of too few days." in card
    assert (
        "- Whether its probabilities are right is not measured (calibration_error, brier, log_loss would)."
        in card
    )
    assert "- Left out, since they held nothing to learn from: shoe_size, age." in card
    assert "- It is measured on rows of 2024-03-01 to 2024-03-14 only: nothing here tells" in card
    calibrated = MODEL | {"evaluate": {"objective": "roc_auc", "metrics": ["log_loss"]}}
    assert "probabilities" not in write_card(facts(spec=ModelSpec.model_validate(calibrated))).markdown


def test_a_champion_that_could_not_be_scored_is_told_with_its_problem() -> None:
    unfit = replace(facts().evaluation, champion_version="2", champion_problem="UntrustedModelError: changed")
    card = write_card(facts(evaluation=unfit)).markdown
    assert "Version 2 was champion and could not be scored: UntrustedModelError: changed" in card
    assert "| Metric | This version | 90% interval | Champion (version 2) | Baseline |" in card


EVIL = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](https://example.org/x.png)",
    "<https://example.org>",
    "a | b | c",
    "# a heading",
    "**bold** _and_ `code` &lt; &#60;",
    "one\n\n## two\n\n- three",
)


@pytest.mark.parametrize("text", EVIL)
def test_what_a_user_writes_stays_text(text: str) -> None:
    calm = Reader(write_card(facts(spec=ModelSpec.model_validate(MODEL | {"description": "calm"}))).html)
    lineage, judgement = replace(facts().lineage, reason=text), Judgement("pass", (text,))
    spec = ModelSpec.model_validate(MODEL | {"description": text})
    found = Reader(write_card(facts(spec=spec, lineage=lineage, judgement=judgement)).html)
    assert found.tags == calm.tags
    assert "".join(found.texts).count(" ".join(text.split())) == 5


PLACES = "{{ text }}\n\n| a | b |\n|---|---|\n| {{ text }} | |\n\n- {{ text }}\n"
# A page cannot hold what is no character, and says so with U+FFFD.
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffd"), max_size=60)


@settings(deadline=None)
@given(text=WORDS)
def test_any_text_comes_back_as_it_was(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    template = tmp_path_factory.getbasetemp() / "places.md.jinja"
    template.write_text(PLACES)
    page = Reader(render(template, "Places", {"text": text}).html.partition("<body>")[2])
    assert set(page.tags) <= {"p", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    shown = " ".join(text.split())
    assert "".join("".join(page.texts).split()) == f"{shown}ab{shown}{shown}".replace(" ", "")


def test_slices_are_told_with_the_champion_and_what_was_too_small() -> None:
    north = SliceEvaluation(
        "city", "Ulm|Bern", 700, {"roc_auc": 0.7}, {"roc_auc": (0.6, 0.8)}, {"roc_auc": 0.65}
    )
    south = SliceEvaluation("city", "Graz", 7, {}, {}, None, "7 rows, 500 needed")
    card = write_card(facts(evaluation=replace(facts().evaluation, slices=(north, south))))
    lines = card.markdown.splitlines()
    assert "| city: Ulm\\|Bern | 700 | 0.7000 (0.6000 to 0.8000) champion 0.6500 |" in lines
    assert "| city: Graz | 7 |  |" in lines
    assert "- The slice city: Graz is not judged: 7 rows, 500 needed." in lines
    assert "<td>city: Ulm|Bern</td>" in card.html
    assert "not measured by slice" not in card.markdown
