"""What the gate asks beyond the objective: margins, slices, time and room."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keepfit.errors import TrainingError
from keepfit.spec import ModelSpec
from keepfit.spec.model import EvaluateSpec
from keepfit.steps.claims import Claim, Kind, refuted
from keepfit.steps.cost import one_row_ms, size_mb
from keepfit.steps.draws import Estimate
from keepfit.steps.evaluate import Champion, Evaluation, evaluate
from keepfit.steps.gate import Judgement, gate
from keepfit.steps.split import Split

Array = NDArray[np.float64]
DAYS, ROWS = 30, 40
COUNT = DAYS * ROWS


def model(objective: str = "mae", metrics: tuple[str, ...] = ("rmse",), **rule: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "tides",
            "task": "regression",
            "entities": {"dataset": "tides"},
            "features": "tide",
            "label": {"column": "height", "delay": "1d"},
            "train": {"holdout": "30d", "candidates": [{"trainer": "lightgbm"}]},
            "evaluate": {"objective": objective, "metrics": metrics, "gate": rule},
        }
    )


class Off:
    """A model that is off by so much in each row, and a little noise of its own."""

    flavor = "skops"

    def __init__(self, by: float | Array, seed: int) -> None:
        self.by = by
        self.noise = np.random.default_rng(seed).normal(0, 0.05, COUNT)

    def predict(self, frame: pd.DataFrame) -> Array:
        chosen = frame["row"].to_numpy()
        by = np.broadcast_to(np.asarray(self.by, np.float64), COUNT)
        scores: Array = frame["label"].to_numpy(np.float64) + by[chosen] + self.noise[chosen]
        return scores

    def save(self, folder: Any) -> None:
        raise NotImplementedError


def holdout(**columns: Any) -> pd.DataFrame:
    chance = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "event_time": pd.date_range("2024-01-01", periods=DAYS, tz="UTC").repeat(ROWS),
            "label": chance.normal(0, 3, COUNT),
            "row": np.arange(COUNT),
            "port": np.tile(["east", "west"], COUNT // 2),
            **columns,
        }
    )


def evaluated(
    challenger: float | Array,
    champion: float | Array | None,
    spec: ModelSpec,
    rows: pd.DataFrame | None = None,
) -> tuple[Evaluation, pd.DataFrame]:
    rows = holdout() if rows is None else rows
    live = None if champion is None else Champion("3", Off(champion, 1))
    split = Split(rows, rows, rows["event_time"].iloc[0])
    return evaluate([Off(challenger, 2)], live, split, spec)


def judged(
    challenger: float | Array,
    champion: float | Array | None,
    spec: ModelSpec,
    rows: pd.DataFrame | None = None,
) -> Judgement:
    return gate(*evaluated(challenger, champion, spec, rows), spec)


WEST = np.tile([0.0, 1.0], COUNT // 2)
"""1 in the rows of the west."""


def test_a_better_challenger_that_keeps_its_margins_passes_and_says_so() -> None:
    judgement = judged(0.5, 1.0, model(not_worse_by={"rmse": 0.1}))
    assert judgement.verdict == "pass"
    assert [check.kind for check in judgement.checks] == ["better", "not_worse"]
    better, margin = judgement.reasons
    assert better.startswith("mae 0.4977 is better than the champion's 0.9974 (difference -0.4998, ")
    assert "is not worse than the champion's 0.99" in margin
    assert margin.endswith("by more than the 0.1 allowed")


def test_a_better_challenger_that_is_worse_in_a_margin_fails() -> None:
    wild = np.where(np.arange(COUNT) % 10 == 0, 5.0, 0.1)
    judgement = judged(wild, 1.0, model(not_worse_by={"rmse": 0.1}))
    assert judgement.verdict == "fail"
    (reason,) = judgement.reasons
    assert reason.startswith("rmse 1.5")
    assert "is worse than the champion's 0.99" in reason


def test_a_margin_that_the_interval_straddles_is_undecided() -> None:
    chance = np.random.default_rng(5)
    luck = np.repeat(chance.normal(0, 1, DAYS), ROWS)
    judgement = judged(0.1 + np.where(luck > 1.5, 3, 0), 1.0, model(not_worse_by={"rmse": 0.0}))
    (reason,) = judgement.reasons
    assert (judgement.verdict, "may be worse than the champion's" in reason) == ("undecided", True)


def test_equal_models_keep_every_margin_even_of_nothing() -> None:
    spec = model(not_worse_by={"rmse": 0.0, "mae": 0.0}, min_effect=0)
    found, scores = evaluated(1.0, 1.0, spec)
    judgement = gate(found, scores.assign(champion=scores["challenger"]), spec)
    assert [(check.kind, check.verdict) for check in judgement.checks] == [
        ("better", "fail"),
        ("not_worse", "pass"),
        ("not_worse", "pass"),
    ]


def test_harm_in_one_slice_stops_what_is_better_on_the_whole() -> None:
    slices = [{"column": "port", "not_worse_by": {"mae": 0.1}}]
    judgement = judged(0.1 + 1.1 * WEST, 1.0, model(slices=slices))
    assert judgement.verdict == "fail"
    (reason,) = judgement.reasons
    assert reason.startswith("port west: mae 1.196")
    assert "is worse than the champion's 0.99" in reason
    assert judged(0.1 + 1.1 * WEST, 1.0, model()).verdict == "pass"


def test_a_floor_missed_in_a_slice_fails_beyond_chance_and_else_is_undecided() -> None:
    slices = [{"column": "port", "floors": {"mae": 1.2}}]
    beyond = judged(0.1 + 1.3 * WEST, 5.0, model(slices=slices))
    assert beyond.verdict == "fail"
    assert "port west: mae 1.396" in beyond.reasons[0]
    assert "is above its limit 1.2000 beyond chance (90 % interval [" in beyond.reasons[0]
    lucky = np.repeat(np.random.default_rng(1).normal(1.2, 0.5, DAYS), ROWS) + 0.06
    within = judged(np.abs(lucky) * WEST, 5.0, model(slices=slices))
    assert within.verdict == "undecided"
    assert "is above its limit 1.2000, maybe by chance" in within.reasons[0]
    kept = judged(0.1, 5.0, model(slices=slices))
    assert (kept.verdict, kept.reasons[1:]) == ("pass", ("mae keeps its floor in each of 2 slices of port",))


def test_slices_have_floors_before_there_is_a_champion() -> None:
    slices = [{"column": "port", "floors": {"mae": 0.5}, "not_worse_by": {"mae": 0.1}}]
    assert judged(0.1, None, model(slices=slices)).verdict == "pass"
    refused = judged(0.1 + WEST, None, model(slices=slices))
    assert refused.verdict == "fail"
    assert refused.reasons[0].startswith("port west: mae 1.096")


def test_small_slices_are_told_and_not_passed_in_silence() -> None:
    port = np.array(["east"] * COUNT, dtype=object)
    port[:30], port[30:33], port[40:43] = "islet", "reef", None
    slices = [{"column": "port", "min_rows": 100, "not_worse_by": {"mae": 0.1}}]
    judgement = judged(0.1, 1.0, model(slices=slices), holdout(port=port))
    assert judgement.verdict == "pass"
    told = judgement.reasons[-1]
    assert (
        told == "not judged for too few rows or days: port islet (30 rows), reef (3 rows), (missing) (3 rows)"
    )
    brief = judged(
        0.1, 1.0, model(slices=[{**slices[0], "min_rows": 20}]), holdout(port=port)
    )  # its 30 rows are all of one day
    assert "islet (rows on 1 days)" in brief.reasons[-1]


def test_a_column_without_any_slice_large_enough_is_undecided() -> None:
    slices = [{"column": "port", "min_rows": 5000, "not_worse_by": {"mae": 0.1}}]
    judgement = judged(0.1, 1.0, model(slices=slices))
    assert judgement.verdict == "undecided"
    assert judgement.reasons == (
        "no slice of port has the 5,000 rows and the days to be judged",
        "not judged for too few rows or days: port east (600 rows), west (600 rows)",
    )


def test_numbers_are_cut_into_slices_by_edges() -> None:
    rows = holdout(depth=np.where(WEST > 0, 700.0, 20.0))
    rows.loc[0, "depth"] = np.nan
    slices = [{"column": "depth", "edges": [500, 1000], "min_rows": 2, "not_worse_by": {"mae": 0.1}}]
    found, _ = evaluated(0.1 + WEST, 1.0, model(slices=slices), rows)
    assert [(each.value, each.rows) for each in found.slices] == [
        ("500 to 1000", 600),
        ("below 500", 599),
        ("(missing)", 1),
    ]
    assert judged(0.1 + WEST, 1.0, model(slices=slices), rows).reasons[0].startswith("depth 500 to 1000: mae")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"column": "prt"}, "the column 'prt', which the training set lacks. Did you mean 'port'?"),
        ({"column": "row"}, "the column 'row', which has 1,200 values among the 1,200 rows of the holdout"),
        ({"column": "port", "edges": [1]}, "cuts the column 'port' by `edges`, but it holds no numbers"),
    ],
)
def test_a_column_that_makes_no_slices_is_named(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError) as error:
        evaluated(0.1, 1.0, model(slices=[{**spec, "not_worse_by": {"mae": 0.1}}]))
    assert message in str(error.value)


def test_metrics_have_intervals_on_the_whole_and_in_each_slice() -> None:
    slices = [{"column": "port", "not_worse_by": {"mae": 0.1}}]
    found, _ = evaluated(0.1 + WEST, 1.0, model(slices=slices))
    for name, (low, high) in found.intervals.items():
        assert low <= found.metrics[name] <= high
    east, west = found.slices
    assert (east.column, east.value, east.rows, east.too_small) == ("port", "east", 600, None)
    assert west.metrics["mae"] == pytest.approx(1.1, abs=0.01)
    assert west.intervals["mae"][0] <= west.metrics["mae"] <= west.intervals["mae"][1]
    assert west.champion is not None
    assert west.champion["mae"] == pytest.approx(1.0, abs=0.01)


def test_an_evaluation_and_a_judgement_read_back_as_they_were() -> None:
    port = np.where(WEST > 0, "west", "east").astype(object)
    port[:3] = "reef"
    slices = [{"column": "port", "not_worse_by": {"mae": 0.1}}]
    found, scores = evaluated(0.1, 1.0, spec := model(slices=slices), holdout(port=port))
    found = replace(found, latency_ms=1.5, size_mb=0.2)
    stored = json.dumps(found.to_json(), allow_nan=False)
    assert Evaluation.of_json(json.loads(stored)) == found
    judgement = gate(found, scores, spec)
    told = json.dumps(judgement.to_json(), allow_nan=False)
    assert Judgement.of_json(json.loads(told)) == judgement


def test_what_was_stored_before_slices_and_what_comes_after_still_reads() -> None:
    found, _ = evaluated(0.1, 1.0, model())
    stored = found.to_json() | {"something": "new"}
    for name in ("intervals", "slices", "latency_ms", "size_mb"):
        del stored[name]
    again = Evaluation.of_json(stored)
    assert (again.intervals, again.slices, again.latency_ms) == ({}, (), None)
    assert again.metrics == found.metrics


def test_a_metric_that_is_no_number_never_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ModuleType("mine")
    mine.never = lambda *_: math.nan  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mine", mine)
    spec = model(metrics=("mine:never",), not_worse_by={"mine:never": 100.0})
    judgement = judged(0.1, 1.0, spec)
    assert judgement.verdict == "undecided"
    assert judgement.reasons == (
        "mine:never cannot be computed on these rows for every model, so nothing is shown by it",
    )
    json.dumps(judgement.to_json(), allow_nan=False)


def test_a_champion_whose_scores_are_no_numbers_cannot_be_scored() -> None:
    judgement = judged(0.1, np.full(COUNT, np.nan), model())
    assert judgement.verdict == "undecided"
    assert "the champion (version 3) cannot be scored: TrainingError: The skops model" in judgement.reasons[0]


def test_time_and_room_have_limits() -> None:
    spec = model(latency_ms=2, size_mb=1)
    found, scores = evaluated(0.1, 1.0, spec)
    unmeasured = gate(found, scores, spec)
    assert unmeasured.verdict == "undecided"
    assert unmeasured.reasons[0] == (
        "the median time to score one row was not measured, so nothing shows it is within 2 ms"
    )
    slow = gate(replace(found, latency_ms=2.5, size_mb=0.3), scores, spec)
    assert (slow.verdict, slow.reasons) == (
        "fail",
        ("the median time to score one row, 2.5 ms, is above the limit of 2 ms",),
    )
    assert gate(replace(found, latency_ms=1.5, size_mb=0.3), scores, spec).verdict == "pass"


def test_the_time_of_one_row_is_the_median_of_many() -> None:
    ticks = iter(range(1000))
    assert one_row_ms(Off(0.1, 1), holdout(), lambda: next(ticks) / 1000) == pytest.approx(1.0)
    assert one_row_ms(Off(0.1, 1), holdout().head(0), lambda: 0.0) is None


def test_the_size_is_of_all_files(tmp_path: Any) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "one").write_bytes(b"1" * 1000)
    (tmp_path / "deep" / "two").write_bytes(b"2" * 500)
    assert size_mb(tmp_path) == 0.0015


def test_the_best_of_many_candidates_has_to_show_more() -> None:
    """Three tries at luck share the chance of one."""
    spec = model()
    rows = holdout()
    split = Split(rows, rows, rows["event_time"].iloc[0])
    several = [Off(0.9, 2), Off(0.95, 3), Off(0.96, 4)]
    found, scores = evaluate(several, Champion("3", Off(1.0, 1)), split, spec)
    judgement = gate(found, scores, spec)
    alone = gate(replace(found, candidates=found.candidates[:1]), scores, spec)
    assert judgement.comparison is not None
    assert alone.comparison is not None
    assert "96.6667 % interval" in judgement.reasons[0]
    assert judgement.comparison.high > alone.comparison.high


@given(margins=st.lists(st.floats(0, 0.8), min_size=2, max_size=4))
@settings(max_examples=15, deadline=None)
def test_asking_for_more_never_turns_a_verdict_to_the_better(margins: list[float]) -> None:
    order = {"fail": 0, "undecided": 1, "pass": 2}
    found, scores = evaluated(0.6, 1.0, model())
    verdicts = [order[gate(found, scores, model(min_effect=each)).verdict] for each in sorted(margins)]
    assert verdicts == sorted(verdicts, reverse=True)
    wider = [
        order[gate(found, scores, model(min_effect=0, not_worse_by={"rmse": each})).verdict]
        for each in sorted(margins)
    ]
    assert wider == sorted(wider)


def of_chance(chance: float) -> Claim:
    """A claim that the holdout denies with such a chance."""
    from scipy.special import stdtrit

    slack = float(stdtrit(9, chance))
    return Claim("not_worse", "mae", 0.0, Estimate(-slack, 1.0, 9.0, -slack - 2, -slack + 2), 1.0, 1.0)


def test_of_many_claims_each_must_be_denied_the_more_clearly() -> None:
    assert refuted([of_chance(0.03)], 0.05) == [True]
    assert refuted([of_chance(each) for each in (0.03, 0.04, 0.2)], 0.05) == [False] * 3
    assert refuted([of_chance(each) for each in (0.2, 0.01, 0.02)], 0.05) == [False, True, True]
    assert refuted([], 0.05) == []


def test_the_gate_of_the_documentation_is_one() -> None:
    text = (Path(__file__).parents[2] / "docs" / "gate.md").read_text(encoding="utf-8")
    example = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    rule = EvaluateSpec.model_validate(example["evaluate"]).gate
    assert [each.column for each in rule.slices] == ["origin", "distance"]


@pytest.mark.parametrize(
    ("kind", "metric", "difference", "shown", "likely"),
    [
        ("not_worse", "mae", 0.05, True, True),
        ("not_worse", "mae", 0.15, False, False),
        ("not_worse", "roc_auc", -0.05, True, True),
        ("not_worse", "roc_auc", -0.15, False, False),
        ("better", "mae", -0.15, True, True),
        ("better", "mae", -0.05, False, False),
        ("better", "roc_auc", 0.15, True, True),
        ("better", "roc_auc", 0.05, False, False),
    ],
)
def test_a_bound_is_on_the_side_of_the_metric(
    kind: Kind, metric: str, difference: float, shown: bool, likely: bool
) -> None:
    found = Estimate(difference, 0.01, 9.0, difference - 0.02, difference + 0.02)
    claim = Claim(kind, metric, 0.1, found, 1.0, 1.0)
    assert (claim.shown, claim.chance > 0.99) == (shown, likely)
    assert likely or claim.chance < 0.01
