"""Rows held against a suite, guarded against what Great Expectations lets through in silence."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepfit.backends.suites import read_suite
from keepfit.backends.validation import validate_rows
from keepfit.backends.validation_report import Failure, ValidationReport
from keepfit.errors import SpecError, ValidationFailedError
from keepfit.spec.project import EngineSpec
from keepfit.steps.validate import refuse_failed
from keepfit.steps.validation_page import validation_page

START = datetime(2013, 1, 1, tzinfo=UTC)
FILE = "expectations/trips.yaml"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    count = 100
    columns: dict[str, Any] = {
        "key": pa.array(range(count)),
        "size": pa.array([1, None, 3, 4] * 25, pa.int64()),
        "price": pa.array([0.5, 1.5, 2.5, 3.5] * 25),
        "sort": pa.array(["a", "b"] * 50),
        "at": pa.array([START + timedelta(days=each) for each in range(count)], pa.timestamp("us", "UTC")),
        "day": pa.array([date(2013, 1, 1)] * count),
        "nothing": pa.array([None] * count, pa.float64()),
    }
    return write(tmp_path, columns)


def write(folder: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return folder / "rows.parquet"


def validate_file(file: Path, text: str, name: str = "suite") -> ValidationReport:
    bounds = EngineSpec(memory_limit="256MB", threads=1)
    return validate_rows(file, text, name, bounds=bounds, scratch=file.parent / "scratch")


def suite(*expectations: dict[str, Any]) -> str:
    return json.dumps({"name": "trips", "expectations": list(expectations)})


def expect(kind: str, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity}


def failures(file: Path, *expectations: dict[str, Any]) -> list[str]:
    return [str(failure) for failure in validate_file(file, suite(*expectations)).failures]


def test_rows_that_meet_their_suite_pass(rows: Path) -> None:
    report = validate_file(
        rows,
        suite(
            expect("column_values_to_be_unique", column="key"),
            expect("column_values_to_be_between", column="price", min_value=0, max_value=5),
            expect("column_values_to_be_in_set", column="sort", value_set=["a", "b"]),
        ),
    )
    assert (report.passed, report.worst, report.checked, report.rows) == (True, None, 3, 100)
    assert report.missing_share == {"size": 0.25, "nothing": 1.0}


def test_a_suite_may_be_yaml_with_the_severity_left_out(rows: Path) -> None:
    kwargs = "{column: key, max_value: 9}"
    text = f"name: y\nexpectations: [{{type: expect_column_max_to_be_between, kwargs: {kwargs}}}]"
    report = validate_file(rows, text)
    assert (report.suite, report.worst, report.passed) == ("y", "critical", False)


def test_failures_are_told_in_words_with_counts_the_worst_first(rows: Path) -> None:
    assert failures(
        rows,
        expect("column_values_to_be_between", "info", column="price", min_value=1),
        expect("column_values_to_be_in_set", "warning", column="sort", value_set=["a"]),
        expect("table_row_count_to_be_between", min_value=1000),
        expect("column_values_to_not_be_null", column="size"),
    ) == [
        "the table: expect_table_row_count_to_be_between: observed 100 (expected: min_value 1000)",
        "size: expect_column_values_to_not_be_null: 25 of 100 rows (25.0%)",
        "sort: expect_column_values_to_be_in_set: 50 of 100 rows (50.0%), such as b "
        "(expected: value_set ['a'])",
        "price: expect_column_values_to_be_between: 25 of 100 rows (25.0%), such as 0.5 "
        "(expected: min_value 1)",
    ]


@pytest.mark.parametrize(("severity", "passed"), [("critical", False), ("warning", True), ("info", True)])
def test_only_a_critical_failure_stops(rows: Path, severity: str, passed: bool) -> None:
    report = validate_file(rows, suite(expect("column_values_to_not_be_null", severity, column="size")))
    assert (report.worst, report.passed) == (severity, passed)


def test_a_quantile_does_not_crash_the_run(rows: Path) -> None:
    ranges = {"quantiles": [0.5], "value_ranges": [[100, 200]]}
    found = failures(
        rows,
        expect("column_quantile_values_to_be_between", "info", column="price", quantile_ranges=ranges),
        expect("column_values_to_not_be_null", column="size"),
    )
    assert [line.split(":")[0] for line in found] == ["size", "price"]


def test_an_expectation_that_raises_fails_with_its_severity_and_costs_the_others_nothing(rows: Path) -> None:
    found = failures(
        rows,
        expect("column_values_to_be_between", "warning", column="sort", min_value=1),
        expect("column_values_to_not_be_null", column="gone"),
        expect("column_values_to_not_be_null", column="size"),
    )
    assert found[0] == "gone: schema: the column is not there. (named by 1 expectations)"
    assert found[1].startswith("size: expect_column_values_to_not_be_null: 25 of 100")
    assert found[2].startswith("sort: expect_column_values_to_be_between: could not be looked at: ")


def test_what_passes_only_because_a_column_is_empty_is_marked(rows: Path) -> None:
    assert failures(
        rows,
        expect("column_values_to_be_between", column="nothing", min_value=1),
        expect("column_values_to_be_null", column="nothing"),
    ) == ["nothing: expect_column_values_to_be_between: passes only because the column has no values"]


def test_an_empty_frame_is_looked_at_without_an_error(tmp_path: Path) -> None:
    file = write(tmp_path, {"key": pa.array([], pa.int64()), "at": pa.array([], pa.timestamp("us", "UTC"))})
    report = validate_file(
        file,
        suite(
            expect("column_values_to_not_be_null", column="key"),
            expect("column_values_to_be_between", column="at", min_value="2013-01-01"),
            expect("column_mean_to_be_between", "info", column="key", min_value=1),
        ),
    )
    assert (report.rows, report.missing_share, report.worst) == (0, {}, "warning")


def test_an_empty_frame_fails_what_asks_for_rows(tmp_path: Path) -> None:
    file = write(tmp_path, {"key": pa.array([], pa.int64())})
    assert failures(file, expect("table_row_count_to_be_between", min_value=1)) == [
        "the table: expect_table_row_count_to_be_between: observed 0 (expected: min_value 1)",
        "the table: rows: there are none, and nearly everything holds of none",
    ]


@pytest.mark.parametrize("limit", ["2013-01-10", "2013-01-10T00:00:00Z", "2013-01-10 01:00:00+01:00"])
def test_a_limit_on_a_time_is_read_as_utc(rows: Path, limit: str) -> None:
    found = failures(rows, expect("column_values_to_be_between", column="at", max_value=limit))
    assert found[0].startswith("at: expect_column_values_to_be_between: 90 of 100 rows")


def test_a_limit_on_a_time_may_be_a_date_of_yaml(rows: Path) -> None:
    kwargs = "{column: at, max_value: 2013-01-10}"
    text = f"name: y\nexpectations:\n- {{type: expect_column_values_to_be_between, kwargs: {kwargs}}}\n"
    assert validate_file(rows, text).failures[0].unexpected_count == 90


def test_whole_numbers_stay_whole_where_some_are_missing(rows: Path) -> None:
    assert failures(rows, expect("column_values_to_be_of_type", column="size", type_="int64")) == []


def test_an_unknown_expectation_is_refused_with_the_closest(rows: Path) -> None:
    good = expect("column_values_to_be_unique", column="key")
    with pytest.raises(SpecError) as refused:
        validate_file(rows, suite(good, expect("column_values_to_be_beetween", column="key")), FILE)
    assert str(refused.value) == (
        "expectations/trips.yaml: expectations[1]: no expectation is named "
        "'expect_column_values_to_be_beetween'. Did you mean 'expect_column_values_to_be_between'?"
    )


def test_wrong_arguments_are_refused_with_their_names() -> None:
    with pytest.raises(SpecError) as refused:
        read_suite(suite(expect("column_values_to_be_in_set", colum="key", value_set=[1])), FILE)
    assert str(refused.value) == (
        "expectations/trips.yaml: expectations[0]: expect_column_values_to_be_in_set does not take these "
        "kwargs: column field required (type=value_error.missing) "
        "colum extra fields not permitted (type=value_error.extra)"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "x.yaml: no YAML: while parsing a flow node"),
        ("- a", "x.yaml: a suite is a mapping with `name` and a list of `expectations`."),
        ("name: a", "x.yaml: a suite is a mapping with `name` and a list of `expectations`."),
        (
            "expectatons: []\nexpectations: []",
            "x.yaml: expectatons: unknown field. Did you mean 'expectations'?",
        ),
        (
            "expectations: [a]",
            "x.yaml: expectations[0]: an expectation is a mapping with a `type` and `kwargs`.",
        ),
        (
            "expectations: [{kwargs: {}}]",
            "x.yaml: expectations[0]: an expectation is a mapping with a `type`",
        ),
        (
            "expectations: [{type: t, kwarg: {}}]",
            "x.yaml: expectations[0]: kwarg: unknown field. Did you mean 'kwargs'?",
        ),
        (
            "expectations: [{type: t, severity: fatal}]",
            "severity 'fatal' is none of critical, warning, info.",
        ),
    ],
)
def test_a_file_that_is_no_suite_says_where(text: str, said: str) -> None:
    with pytest.raises(SpecError) as refused:
        read_suite(text, "x.yaml")
    assert said in str(refused.value)


def test_a_report_stays_small_and_keeps_the_worst() -> None:
    many = [Failure("expect_x", f"c{each}", "info", "m" * 160) for each in range(500)]
    worst = Failure("expect_y", "c", "critical", "bad")
    report = ValidationReport.of("s", 1, 501, [*many, worst], {})
    assert len(json.dumps(report.to_dict())) < 10_000
    assert report.failures[0] == worst
    assert len(report.failures) + report.left_out == 501


def test_a_critical_failure_stops_the_window_in_words(rows: Path) -> None:
    report = validate_file(rows, suite(expect("column_values_to_not_be_null", column="size")))
    with pytest.raises(ValidationFailedError) as stopped:
        refuse_failed(report, "trips", Path("/runs/r/validation.html"))
    assert str(stopped.value) == (
        "Dataset trips: 1 of 1 expectations of trips failed critically, so nothing of this "
        "window is published.\n- size: expect_column_values_to_not_be_null: 25 of 100 rows (25.0%)\n"
        "The whole report: /runs/r/validation.html"
    )


def test_the_page_shows_the_failures_and_loads_nothing(rows: Path) -> None:
    report = validate_file(
        rows, suite(expect("column_values_to_be_in_set", column="sort", value_set=["<b>"]))
    )
    page = validation_page(report, "trips", "January <2013>")
    assert "<h1>trips, January &lt;2013&gt;</h1>" in page
    assert '<td class="critical">critical</td><td>sort</td>' in page
    assert "such as a, b (expected: value_set [&#x27;&lt;b&gt;&#x27;])" in page
    assert "<td>nothing</td><td>100.00%</td>" in page
    assert "http" not in page
    assert "<script" not in page
