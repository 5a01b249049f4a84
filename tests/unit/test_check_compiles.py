"""`keepfit check` compiles transforms and holds suites against the columns there will be, without a row."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from keepfit.cli.app import app

# Great Expectations, imported by the first suite.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FILES = {
    "keepfit.yaml": "project: p\ndatabase: sqlite\n",
    "datasets/trips.yaml": """
name: trips
source: {type: files, path: "nowhere/*.csv"}
columns: {key: string, seen: timestamp, size: int64}
key: [key]
event_time: seen
expectations: trips
transform: trips
""",
    "transforms/trips.sql": "SELECT key, seen,\n  size > 3 AS big\nFROM source",
    "expectations/trips.yaml": """
expectations:
- {type: expect_column_values_to_be_between, kwargs: {column: size, min_value: 0}}
""",
    "datasets/totals.yaml": """
name: totals
source: {type: datasets, inputs: [trips], lookback: 1d}
key: [day]
event_time: day
transform: totals
expectations: totals
""",
    "transforms/totals.sql": "SELECT $window_start AS day,\n  count(*) FILTER (big) AS bigs\nFROM trips",
    "expectations/totals.yaml": """
expectations:
- type: expect_column_pair_values_to_be_equal
  kwargs:
    column_A: day
    column_B: bigs
- {type: expect_table_columns_to_match_set, kwargs: {column_set: [day, bigs]}}
""",
    "models/big.yaml": """
name: big
task: classification
entities: {dataset: trips}
features: trips
label: {column: big, delay: 1d}
train: {holdout: 2d, candidates: [{trainer: lightgbm}]}
evaluate: {objective: log_loss}
""",
}


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "feature_repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "feature_repo"


def told(repo: Path) -> list[str]:
    done = CliRunner().invoke(app, ["check", "--no-features", "--root", str(repo.parent)])
    return done.stdout.splitlines()


def edit(repo: Path, name: str, old: str, new: str) -> None:
    text = (repo / name).read_text()
    assert old in text
    (repo / name).write_text(text.replace(old, new))


def test_what_compiles_is_sound_though_no_source_exists(repo: Path) -> None:
    assert told(repo) == ["No problems (datasets: 2, models: 1)."]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("FROM source", "FORM source", 'Parser Error: syntax error at or near "FORM" (line 3)'),
        ("size >", "sise >", 'Binder Error: Referenced column "sise" not found in FROM clause! (line 2)'),
        ("FROM source", "FROM sauce", "Catalog Error: Table with name sauce does not exist! (line 3)"),
        ("size > 3", "$size > 3", "$size is no parameter. There are: $window_end, $window_start."),
        ("size > 3", "now() > seen", "now reads the clock"),
        ("seen,", "seen::DATE AS seen,", "the event time 'seen' is DATE, not a timestamp."),
        ("key, ", "size AS kee, ", "the rows lack key, which datasets/trips.yaml has as `key`"),
        ("size > 3", "[size]", "big (BIGINT[]) cannot be published."),
        ("FROM source", "FROM read_csv('/etc/passwd')", "Permission Error"),
    ],
)
def test_a_transform_that_does_not_compile_is_told_with_its_line(
    repo: Path, old: str, new: str, problem: str
) -> None:
    edit(repo, "transforms/trips.sql", old, new)
    (line,) = told(repo)
    assert line.startswith(f"transforms/trips.sql: {problem}")


def test_a_transform_of_a_dataset_that_does_not_compile_is_still_parsed(repo: Path) -> None:
    edit(repo, "transforms/trips.sql", "size >", "sise >")
    edit(repo, "transforms/totals.sql", "FROM trips", "FORM trips")
    first, second = told(repo)
    assert first.startswith("transforms/trips.sql: Binder Error")
    assert second == 'transforms/totals.sql: Parser Error: syntax error at or near "FORM" (line 3)'


def test_a_transform_reads_what_its_inputs_transforms_give(repo: Path) -> None:
    edit(repo, "transforms/totals.sql", "FILTER (big)", "FILTER (size > 3)")
    assert told(repo) == [
        'transforms/totals.sql: Binder Error: Referenced column "size" not found in FROM clause! (line 2)'
    ]


def test_an_endless_transform_is_compiled_at_once(repo: Path) -> None:
    edit(repo, "transforms/trips.sql", "FROM source", "FROM source, range(1000000000000)")
    assert told(repo) == ["No problems (datasets: 2, models: 1)."]


def test_an_expectation_on_no_column_of_the_source_is_told_with_its_line(repo: Path) -> None:
    edit(repo, "expectations/trips.yaml", "column: size", "column: sise")
    assert told(repo) == [
        "expectations/trips.yaml: expectations[0].kwargs.column: expect_column_values_to_be_between is on "
        "'sise', which the rows of 'trips' do not have. Did you mean 'size'? They have: "
        "key, seen, size. (line 3)"
    ]


def test_expectations_on_computed_rows_are_held_against_what_the_transform_gives(repo: Path) -> None:
    edit(repo, "expectations/totals.yaml", "column_B: bigs", "column_B: big")
    edit(repo, "expectations/totals.yaml", "[day, bigs]", "[day, key]")
    pair, matched = told(repo)
    assert pair.startswith("expectations/totals.yaml: expectations[0].kwargs.column_B: ")
    assert pair.endswith("Did you mean 'bigs'? They have: day, bigs. (line 6)")
    assert matched.startswith("expectations/totals.yaml: expectations[1].kwargs.column_set[1]: ")


def test_an_unknown_expectation_hides_no_other(repo: Path) -> None:
    edit(
        repo, "expectations/totals.yaml", "type: expect_column_pair_values", "type: expect_column_pair_value"
    )
    edit(repo, "expectations/totals.yaml", "[day, bigs]", "[day, key]")
    unknown, matched = told(repo)
    assert unknown.startswith("expectations/totals.yaml: expectations[0]: no expectation is named")
    assert unknown.endswith("Did you mean 'expect_column_pair_values_to_be_equal'? (line 3)")
    assert matched.startswith("expectations/totals.yaml: expectations[1].kwargs.column_set[1]: ")


def test_a_model_asks_for_columns_that_the_transform_gives(repo: Path) -> None:
    edit(repo, "models/big.yaml", "column: big", "column: bigg")
    assert told(repo) == [
        "models/big.yaml: label.column: the dataset 'trips' has no column 'bigg'. Did you mean 'big'? "
        "transforms/trips.sql gives: key, seen, big."
    ]
