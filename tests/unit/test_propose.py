"""A suite proposed from good rows is silent on more of them, and speaks when a load is broken."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from keepfit.backends.propose import propose_suite
from keepfit.backends.suites import read_suite
from keepfit.backends.validation import validate_rows
from keepfit.errors import ConfError, SourceError
from keepfit.ledger import migrate
from keepfit.pipeline.proposal import propose, refuse_existing, suite_file
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.plugins import Access
from keepfit.spec import Window, load_project
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.project import EngineSpec

START = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
BOUNDS = EngineSpec(memory_limit="256MB", threads=1)
Rows = dict[str, list[Any]]
SPEC = """
name: orders
source: {type: files, path: "data/*.csv"}
columns: {id: string, at: timestamp, kind: string, amount: float64, note: string}
key: [id]
event_time: at
"""


def rows(first_week: int, weeks: int) -> Rows:
    numbers = range(first_week * 210, (first_week + weeks) * 210)
    return {
        "id": [f"o{each}" for each in numbers],
        "at": [START + each * timedelta(hours=24 * 7 / 210) for each in numbers],
        "kind": [("a", "b", "c")[each % 3] for each in numbers],
        "amount": [float(each * 37 % 500) for each in numbers],
        "note": [None if each % 4 else f"n{each}" for each in numbers],
    }


def changed(column: str, change: Callable[[Any], Any]) -> Callable[[Rows], Rows]:
    return lambda given: given | {column: [change(value) for value in given[column]]}


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("reference")
    dataset = DatasetSpec.model_validate(yaml.safe_load(SPEC))
    return propose_suite(kept(rows(0, 6), folder), dataset, WEEK, bounds=BOUNDS, scratch=folder)


def kept(given: Rows, folder: Path) -> Path:
    pq.write_table(pa.table(given), folder / "rows.parquet")
    return folder / "rows.parquet"


def said(given: Rows, suite: str, folder: Path) -> set[str]:
    report = validate_rows(kept(given, folder), suite, bounds=BOUNDS, scratch=folder)
    assert report.passed, "a proposal never stops a window"
    return {f"{each.column or 'the table'}: {each.expectation}" for each in report.failures}


def test_later_weeks_of_the_same_kind_raise_no_alarm(suite: str, tmp_path: Path) -> None:
    for week in range(6, 12):
        assert said(rows(week, 1), suite, tmp_path) == set()


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (changed("amount", lambda value: value * 1000), "amount: expect_column_values_to_be_between"),
        (
            changed("kind", lambda value: None if value == "a" else value),
            "kind: expect_column_values_to_not_be_null",
        ),
        (changed("amount", lambda _: 7.0), "amount: expect_column_unique_value_count_to_be_between"),
        (
            lambda given: {name: each * 2 for name, each in given.items()},
            "id: expect_column_values_to_be_unique",
        ),
        (
            changed("kind", lambda value: "z" if value == "a" else value),
            "kind: expect_column_values_to_be_in_set",
        ),
        (changed("amount", str), "amount: expect_column_values_to_be_between"),
        (
            lambda given: {name: each[:20] for name, each in given.items()},
            "the table: expect_table_row_count_to_be_between",
        ),
    ],
    ids=["unit", "null burst", "stuck", "loaded twice", "unseen", "type", "few rows"],
)
def test_a_fault_is_found(suite: str, fault: Callable[[Rows], Rows], found: str, tmp_path: Path) -> None:
    assert found in said(fault(rows(7, 1)), suite, tmp_path)


def test_everything_proposed_is_a_warning_that_great_expectations_knows(suite: str) -> None:
    listed = yaml.safe_load(suite)["expectations"]
    assert {each["severity"] for each in listed} == {"warning"}
    assert len(read_suite(suite).expectations) == len(listed)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    repo = tmp_path / "feature_repo"
    (repo / "datasets").mkdir(parents=True)
    (repo / "keepfit.yaml").write_text("project: p\ndatabase: sqlite\n")
    (repo / "datasets" / "orders.yaml").write_text(SPEC)
    (tmp_path / "data").mkdir()
    lines = [",".join("" if cell is None else str(cell) for cell in line) for line in zip(*rows(0, 4).values(), strict=True)]  # fmt: skip # noqa: E501
    (tmp_path / "data" / "orders.csv").write_text("\n".join(["id,at,kind,amount,note", *lines]) + "\n")
    migrate(load_project(tmp_path).locations.ledger_url)
    return tmp_path


def test_a_proposal_reads_the_rows_of_its_source(project: Path) -> None:
    window = Window.parse("2024-01-01", "2024-01-29")
    snapshot = take_snapshot(load_project(project), "orders__propose", "r", dataset="orders", window=window)
    text = propose(snapshot, Access(url=str, storage=lambda _: {}), WEEK)
    counts = [each["kwargs"] for each in yaml.safe_load(text)["expectations"] if "row_count" in each["type"]]
    assert counts == [{"min_value": 52, "max_value": 840}]


def test_a_range_without_rows_is_told(project: Path) -> None:
    window = Window.parse("2031-01-01", "2031-01-29")
    snapshot = take_snapshot(load_project(project), "orders__propose", "r", dataset="orders", window=window)
    with pytest.raises(SourceError, match="Dataset orders has no rows in 20310101T000000Z_20310129T000000Z"):
        propose(snapshot, Access(url=str, storage=lambda _: {}), WEEK)


def test_a_suite_that_exists_is_not_written_over_without_force(project: Path) -> None:
    file = suite_file(load_project(project), "orders")
    refuse_existing(file, force=False)
    file.parent.mkdir()
    file.write_text("name: mine\nexpectations: []\n")
    with pytest.raises(
        ConfError, match=r"orders\.yaml exists\. Move it away, or give --force to write over it\."
    ):
        refuse_existing(file, force=False)
    refuse_existing(file, force=True)
