"""Drift against Evidently itself, and every kind of column that breaks Evidently."""

import json
import warnings
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
from evidently.presets import DataDriftPreset

from keepfit.backends.drift_report import html_report
from keepfit.backends.sketches import Kind, Sketch, sketch_columns
from keepfit.spec.model import DriftSpec
from keepfit.steps import detect_drift as step
from keepfit.steps.detect_drift import DriftResult
from keepfit.steps.distances import P_VALUES
from keepfit.steps.draw_drift import draw_drift

CHANCE = np.random.default_rng(8)
NUMBERS = ["calm", "shifted", "wider", "few"]
TEXTS = ["letters", "new_letters"]
SPEC = DriftSpec(min_rows=100)


@pytest.fixture(autouse=True)
def the_same_chance() -> None:
    """Draw the same for a test whichever were run before it."""
    CHANCE.bit_generator.state = np.random.default_rng(8).bit_generator.state


def frame(rows: int, shift: float = 0.0) -> pd.DataFrame:
    letters = list("abcdef") if shift else list("abcde")
    return pd.DataFrame(
        {
            "calm": CHANCE.normal(size=rows),
            "shifted": CHANCE.normal(shift, 1, rows),
            "wider": CHANCE.normal(0, 1 + shift, rows),
            "few": CHANCE.choice([0.0, 1.0, 2.0], rows),
            "letters": CHANCE.choice(list("abcde"), rows),
            "new_letters": CHANCE.choice(letters, rows),
        }
    )


def sketched(data: pd.DataFrame, kinds: dict[str, Kind | None]) -> dict[str, Sketch]:
    """Sketch a frame as a table of it would be."""
    texts = {
        str(name): values.astype(object).map(lambda each: str(each) if pd.notna(each) else None)
        for name, values in data.items()
        if isinstance(values.dtype, pd.CategoricalDtype)
        or pd.api.types.infer_dtype(values, skipna=True) == "mixed"
    }
    with duckdb.connect() as connection:
        connection.register("rows", pa.Table.from_pandas(data.assign(**texts), preserve_index=False))
        return sketch_columns(connection, "rows", list(data.columns), kinds)


def detect_drift(
    reference: pd.DataFrame, current: pd.DataFrame, features: list[str], spec: DriftSpec | None
) -> DriftResult:
    old = sketched(reference, {})
    new = sketched(current, {name: each.kind for name, each in old.items() if each.n})
    return step.detect_drift(old, new, features, spec, rows=len(current))


def result_of(reference: Any, current: Any, spec: DriftSpec | None = SPEC) -> DriftResult:
    old, new = pd.DataFrame({"x": reference}), pd.DataFrame({"x": current})
    return detect_drift(old, new, ["x"], spec)


def by_hand(metrics: list[Any], reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, Any]:
    definition = DataDefinition(numerical_columns=NUMBERS, categorical_columns=TEXTS)
    data = [Dataset.from_pandas(each, definition) for each in (current, reference)]
    answer: dict[str, Any] = json.loads(Report(metrics, include_tests=True).run(*data).json())
    return answer


def scores(answer: dict[str, Any]) -> dict[str, float]:
    drifts = (each for each in answer["metrics"] if each["metric_name"].startswith("ValueDrift"))
    return {each["config"]["column"]: each["value"] for each in drifts}


@pytest.mark.parametrize("rows", [900, 3000])
@pytest.mark.parametrize("method", ["default", "psi", "jensenshannon"])
def test_scores_and_verdicts_are_those_of_evidently_called_by_hand(rows: int, method: str) -> None:
    reference, current = frame(rows), frame(rows, 0.4)
    named = {} if method == "default" else {"method": method}
    mine = detect_drift(reference, current, NUMBERS + TEXTS, DriftSpec(min_rows=100, method=method))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        theirs = by_hand([ValueDrift(column=each, **named) for each in NUMBERS + TEXTS], reference, current)
    assert {each.column: each.score for each in mine.columns} == pytest.approx(scores(theirs))
    assert [each.drifted for each in mine.columns] == [each["status"] == "FAIL" for each in theirs["tests"]]
    assert 0 < (mine.share or 0) < 1


def test_the_share_is_that_of_evidentlys_preset() -> None:
    reference, current = frame(3000), frame(3000, 0.4)
    mine = detect_drift(reference, current, NUMBERS + TEXTS, SPEC)
    theirs = by_hand([DataDriftPreset()], reference, current)["metrics"][0]
    assert theirs["metric_name"].startswith("DriftedColumnsCount")
    assert mine.share == pytest.approx(theirs["value"]["share"])
    assert mine.drifted is (theirs["value"]["share"] >= 0.5)


@pytest.mark.parametrize("rows", [90, 900, 1100])
@pytest.mark.parametrize("method", ["default", "wasserstein", "jensenshannon", "psi", "ks"])
def test_the_columns_that_are_tested_for_p_values_are_known_by_the_reference_alone(
    rows: int, method: Any
) -> None:
    old, features, spec = frame(rows), [*NUMBERS, *TEXTS, "gone"], DriftSpec(min_rows=100, method=method)
    measured = detect_drift(old, frame(500), [*NUMBERS, *TEXTS], spec).columns
    tested = {each.column for each in measured if each.method in P_VALUES}
    assert set(step.tested_columns(sketched(old, {}), features, spec)) == tested


def test_a_p_value_drifts_downwards_and_a_distance_upwards() -> None:
    reference, current = frame(900), frame(900, 2.0)
    ks = detect_drift(reference, current, ["calm", "shifted"], DriftSpec(method="ks", min_rows=9))
    far = detect_drift(reference, current, ["calm", "shifted"], DriftSpec(method="wasserstein", min_rows=9))
    assert [each.drifted for each in ks.columns] == [False, True]
    assert ks.columns[0].score > ks.columns[0].threshold > ks.columns[1].score
    assert [each.drifted for each in far.columns] == [False, True]
    assert far.columns[0].score < far.columns[0].threshold < far.columns[1].score


@pytest.mark.parametrize("method", ["default", "ks", "wasserstein", "psi", "jensenshannon"])
def test_scores_are_the_further_the_larger_the_number_is(method: Any) -> None:
    near, far = (
        detect_drift(
            frame(900).assign(score=CHANCE.normal(size=900)),
            frame(900).assign(score=CHANCE.normal(shift, size=900)),
            ["calm"],
            DriftSpec(method=method, min_rows=9),
        ).prediction
        for shift in (0.0, 2.0)
    )
    assert near is not None
    assert far is not None
    assert near.score < 0.15 < far.score, "a rule of the policy asks from its threshold upwards"
    assert (near.drifted, far.drifted) == (False, True)


def test_a_threshold_of_the_specs_own_is_used() -> None:
    reference, current = frame(2000), frame(2000, 0.4)
    strict = DriftSpec(method="wasserstein", threshold=0.9, min_rows=100)
    assert detect_drift(reference, current, ["shifted"], strict).share == 0
    assert detect_drift(reference, current, ["shifted"], SPEC).share == 1


VALUES = CHANCE.normal(size=600)
STORED = {
    "float": VALUES,
    "nullable": pd.array(np.where(VALUES > 2, np.nan, VALUES), dtype="Float64"),
    "arrow": pd.Series(VALUES).astype("double[pyarrow]"),
    "decimal": [Decimal(f"{each:.4f}") for each in VALUES],
    "with infinity": np.where(VALUES > 2.5, np.inf, VALUES),
    "object with none": [None if each > 2 else float(each) for each in VALUES],
    "text of numbers": [f"{each:.5f}" for each in VALUES],
    "float32": VALUES.astype("float32"),
}


@pytest.mark.parametrize("stored", STORED.values(), ids=STORED.keys())
def test_numbers_are_compared_however_they_are_stored(stored: Any) -> None:
    result = result_of(VALUES, stored)
    assert [(each.column, each.method) for each in result.columns] == [("x", "ks")]
    assert (result.share, result.broken, dict(result.skipped)) == (0.0, (), {})


@pytest.mark.parametrize("dtype", ["object", "string", "category", "string[pyarrow]"])
def test_categories_are_compared_however_they_are_stored(dtype: Any) -> None:
    letters = CHANCE.choice(list("abc"), 600)
    result = result_of(letters, pd.Series(letters).astype(dtype))
    assert (result.columns[0].method, result.share) == ("chisquare", 0.0)


def test_truth_values_are_numbers_on_both_sides() -> None:
    truth = CHANCE.choice([True, False], 600)
    result = result_of(truth, pd.array(truth, dtype="boolean"))
    assert (result.share, len(result.columns)) == (0.0, 1)


def test_whole_numbers_as_categories_survive_a_missing_value() -> None:
    codes = pd.Series(CHANCE.choice([10, 20, 30], 600))
    as_text = codes.astype("category")
    with_gap = codes.astype(float).where(codes.index > 5)
    assert result_of(as_text, with_gap).share == 0.0


def test_a_column_gone_is_a_fault_and_not_ignored() -> None:
    reference = frame(600)
    result = detect_drift(reference, reference.drop(columns="calm"), ["calm", "few"], SPEC)
    assert result.broken == ("calm is not among the predictions",)
    assert [each.column for each in result.columns] == ["few"]


@pytest.mark.parametrize("nothing", [np.nan, None, pd.NA])
def test_a_column_all_missing_is_reported_and_the_others_are_compared(nothing: Any) -> None:
    reference = frame(600)
    result = detect_drift(reference, reference.assign(calm=nothing), ["calm", "few"], SPEC)
    assert (result.missing[0].column, result.missing[0].now) == ("calm", 1.0)
    assert result.skipped == {"calm": "0 values of 100"}
    assert [each.column for each in result.columns] == ["few"]


def test_a_column_all_missing_on_both_sides_is_no_news() -> None:
    result = result_of([np.nan] * 600, [None] * 600)
    assert (result.missing, result.broken, result.share) == ((), (), None)
    assert result.reason == "no column has enough values"


def test_values_turned_missing_are_a_fact_of_their_own() -> None:
    gone = np.where(np.arange(600) % 5 == 0, np.nan, VALUES)
    result = result_of(VALUES, gone)
    assert (result.missing[0].before, result.missing[0].now) == pytest.approx((0.0, 0.2))
    assert result.share == 0.0


def test_text_where_numbers_were_is_a_fault() -> None:
    result = result_of(VALUES, ["n/a" if each > 1 else str(each) for each in VALUES])
    assert result.broken == ("x was a number and holds 'n/a'",)
    times = pd.Series(pd.date_range("2013-01-01", periods=600, freq="h"))
    assert result_of(VALUES, times).broken == ("x was a number and holds '2013-01-01 00:00:00'",)


def test_times_are_left_out_and_named() -> None:
    times = pd.Series(pd.date_range("2013-01-01", periods=600, freq="h"))
    result = result_of(times, times)
    assert result.skipped == {"x": "neither a number nor a category"}


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_few_rows_are_insufficient_and_never_no_drift(rows: int) -> None:
    result = result_of(VALUES, VALUES[:rows])
    assert (result.share, result.drifted) == (None, None)
    assert result.reason == f"the window has {rows} rows of 100 needed"
    back = result_of(VALUES[:rows], VALUES)
    assert back.reason == f"the reference has {rows} rows of 100 needed"


def test_categories_that_the_reference_does_not_know_are_told() -> None:
    letters = CHANCE.choice(list("abc"), 5000)
    calm = result_of(letters, CHANCE.choice(list("abc"), 4000))
    news = result_of(letters, np.where(np.arange(4000) % 50 == 0, "new", CHANCE.choice(list("abc"), 4000)))
    assert calm.unseen == ()
    assert (news.unseen[0].column, news.unseen[0].share) == ("x", 0.02)
    assert news.unseen[0].noise < 0.002
    assert not news.columns[0].drifted, "Evidently's score of it is small"


def test_identifiers_that_are_new_each_week_are_no_news() -> None:
    result = result_of([f"id{each}" for each in range(3000)], [f"id{each}" for each in range(3000, 5000)])
    assert result.unseen == ()


def test_missing_values_come_with_what_luck_makes_of_them() -> None:
    half = np.where(np.arange(600) % 2 == 0, np.nan, VALUES)
    few = result_of(half, half[[*range(100), *range(0, 20, 2)]], DriftSpec(min_rows=20))
    assert few.missing == (), "55 instead of 50 % of 110 rows may be luck"
    many = result_of(half, [*half, *([np.nan] * 600)])
    assert many.missing[0].noise == pytest.approx(
        2 * (0.6667 * 0.3333 * (1 / 600 + 1 / 1200)) ** 0.5, rel=1e-3
    )


def test_thousands_of_categories_raise_no_alarm() -> None:
    ids = np.array([f"id{number}" for number in range(15_000)])
    result = result_of(CHANCE.choice(ids, 20_000), CHANCE.choice(ids, 6_500))
    assert result.share == 0.0


def test_without_a_spec_only_faults_are_looked_for() -> None:
    reference = frame(600)
    result = detect_drift(reference, reference[["few"]], ["calm", "few"], None)
    assert (result.columns, result.share, result.drifted) == ((), None, None)
    assert result.broken == ("calm is not among the predictions",)
    assert result.reason == "not asked for"


def test_only_the_columns_asked_for_are_compared() -> None:
    reference = frame(600)
    spec = DriftSpec(columns=("few", "wrong"), min_rows=100)
    result = detect_drift(reference, reference, NUMBERS, spec)
    assert [each.column for each in result.columns] == ["few"]
    assert result.skipped == {"wrong": "no feature of the champion"}


def test_scores_are_compared_too_but_do_not_count() -> None:
    reference, current = frame(600), frame(600)
    result = detect_drift(reference.assign(score=VALUES), current.assign(score=VALUES + 3), ["few"], SPEC)
    assert result.prediction is not None
    assert result.prediction.drifted
    assert [each.column for each in result.columns] == ["few"]


def test_the_report_is_one_page_that_loads_nothing_else() -> None:
    page = html_report(frame(500), frame(500, 1.0), TEXTS)
    assert "shifted" in page
    assert "<script src=" not in page


def test_the_report_takes_every_kind_of_column_and_a_sparse_one() -> None:
    old, new = frame(6000), frame(6000).drop(columns="calm")
    old["sparse"] = [1.0, *[np.nan] * 5999]
    new["sparse"] = [*[np.nan] * 5999, 1.0]
    old["gone"], new["gone"] = 1.0, np.nan
    old["time"] = new["time"] = pd.Timestamp(2013, 1, 1)
    page = draw_drift(old, new, ["calm", "shifted", "letters", "sparse", "gone", "time"])
    assert page is not None
    assert "shifted" in page
    assert draw_drift(old, new, ["calm", "gone", "time"]) is None


def test_a_quiet_month_of_real_size_has_not_drifted() -> None:
    wide_old = pd.DataFrame({f"n{i}": CHANCE.normal(size=20_000) for i in range(20)})
    wide_new = pd.DataFrame({f"n{i}": CHANCE.normal(size=6_500) for i in range(20)})
    for i in range(5):
        wide_old[f"c{i}"] = CHANCE.choice(list("abcdefghij"), 20_000)
        wide_new[f"c{i}"] = CHANCE.choice(list("abcdefghij"), 6_500)
    result = detect_drift(wide_old, wide_new, list(wide_old.columns), SPEC)
    assert (len(result.columns), result.drifted) == (25, False)
