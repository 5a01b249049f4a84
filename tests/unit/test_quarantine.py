"""Bad rows are set aside with their reasons, and released or dropped by a person."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepfit.backends.held_rows import HeldRow
from keepfit.backends.lake import Lake
from keepfit.errors import ConfError, ValidationFailedError
from keepfit.ledger import Ledger, Ruling, migrate
from keepfit.ledger.rulings import PIECE
from keepfit.pipeline.ingest import IngestRun
from keepfit.pipeline.ruling import QuarantineRun, held, keys_of
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.plugins import Access
from keepfit.spec import Window, check_project, load_project

NOWHERE = Access(url=lambda name: name, storage=lambda _: {})
FIRST, SECOND = Window.parse("2013-01-01", "2013-01-02"), Window.parse("2013-01-02", "2013-01-03")
FILES = {
    "keepfit.yaml": "project: p\ndatabase: sqlite\nengine: {memory_limit: 256MB, threads: 1}\n",
    "datasets/trips.yaml": """
name: trips
source: {type: files, path: "data/trips*.csv"}
columns: {key: string, seen: timestamp, size: int64, weight: float64}
key: [key]
event_time: seen
expectations: trips
quarantine: {max_share: 0.5}
transform: trips
""",
    "transforms/trips.sql": "SELECT key, seen, size * 10 AS size FROM source",
    "expectations/trips.yaml": """
name: trips
expectations:
- {type: expect_column_values_to_be_between, kwargs: {column: size, min_value: 0}}
- {type: expect_column_values_to_not_be_null, kwargs: {column: weight}}
- {type: expect_column_values_to_be_unique, kwargs: {column: key}}
- {type: expect_column_mean_to_be_between, kwargs: {column: size, min_value: 0}}
- {type: expect_column_values_to_be_between, kwargs: {column: size, max_value: 100}, severity: warning}
""",
    "datasets/totals.yaml": """
name: totals
source: {type: datasets, inputs: [trips]}
key: [key]
event_time: seen
transform: totals
expectations: totals
quarantine: {max_share: 0.5}
""",
    "transforms/totals.sql": "SELECT key, seen, size AS total FROM trips",
    "expectations/totals.yaml": """
name: totals
expectations:
- {type: expect_column_values_to_be_between, kwargs: {column: total, max_value: 15}}
""",
}
HEAD = "key,seen,size,weight\n"
GOOD = "a,2013-01-01 01:00:00,1,1.5\nb,2013-01-01 02:00:00,2,1.5\nc,2013-01-02 03:00:00,3,1.5\n"
BAD = "bad,2013-01-01 04:00:00,-5000,\n"
STEPS = ("extract", "check_schema", "validate", "transform", "publish")
REASONS = "size: expect_column_values_to_be_between; weight: expect_column_values_to_not_be_null"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        write(tmp_path, f"feature_repo/{name}", text)
    write(tmp_path, "data/trips.csv", HEAD + GOOD + BAD)
    migrate(load_project(tmp_path).locations.ledger_url)
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def ingest(root: Path, run_id: str = "r", window: Window = FIRST, dataset: str = "trips") -> dict[str, Any]:
    snapshot = take_snapshot(
        load_project(root), f"{dataset}__ingest", f"{run_id}-{window.key}", dataset=dataset, window=window
    )
    run = IngestRun(snapshot, NOWHERE)
    return {step: getattr(run, step)() for step in STEPS}


def rule(
    root: Path, run_id: str, action: str, keys: str | list[str] | None = None, window: Window = FIRST
) -> dict[str, Any]:
    settings = {"action": action, "keys": keys, "who": "me"}
    snapshot = take_snapshot(
        load_project(root), "trips__quarantine", run_id, dataset="trips", window=window, settings=settings
    )
    done = QuarantineRun(snapshot).rule()
    if done["again"]:
        run = IngestRun(snapshot, NOWHERE)
        for step in STEPS:
            getattr(run, step)()
    return done


def sizes(root: Path, table: str = "trips", column: str = "size") -> dict[str, int]:
    rows = Lake(load_project(root).locations.lake).dataset(table).to_table().to_pylist()
    return {row["key"]: row[column] for row in rows}


def states(root: Path, window: Window | None = None, dataset: str = "trips") -> dict[str, str]:
    return {each.key: each.state for each in held_in(root, window, dataset)}


def held_in(root: Path, window: Window | None = None, dataset: str = "trips") -> list[HeldRow]:
    project = load_project(root)
    bounds, scratch = project.spec.engine, root / "scratch"
    with held(dataset, project.locations, window, bounds=bounds, scratch=scratch) as rows:
        return list(rows)


def test_a_bad_row_is_set_aside_with_its_reasons_and_the_others_go_on(root: Path) -> None:
    done = ingest(root)
    assert sizes(root) == {"a": 10, "b": 20}
    (row,) = Lake(load_project(root).locations.lake).dataset("quarantine__trips").to_table().to_pylist()
    assert (row["key"], row["size"], row["weight"]) == ("bad", -5000, None)
    assert (row["quarantine_key"], row["quarantine_window"]) == ("bad", FIRST.key)
    assert (row["quarantine_reasons"], row["quarantine_run_id"]) == (REASONS, f"r-{FIRST.key}")
    assert done["validate"]["worst"] == "warning"
    assert done["validate"]["failures"][0]["message"] == (
        "1 of 3 rows (33.3%) are set aside, 0 released, 0 dropped: "
        "size: expect_column_values_to_be_between (1); weight: expect_column_values_to_not_be_null (1)"
    )


def test_more_bad_rows_than_the_limit_stop_the_window_and_publish_nothing(root: Path) -> None:
    more = BAD.replace("bad", "worse") + BAD.replace("bad", "worst")
    write(root, "data/trips.csv", HEAD + GOOD + BAD + more)
    with pytest.raises(ValidationFailedError, match=r"3 of 5 rows \(60\.0%\) fail, more than 50\.0%"):
        ingest(root)
    lake = Lake(load_project(root).locations.lake)
    assert not lake.exists("trips")
    assert not lake.exists("quarantine__trips")


def test_what_fails_as_a_whole_still_stops_the_window(root: Path) -> None:
    count = "- {type: expect_table_row_count_to_be_between, kwargs: {min_value: 3}}"
    suite = FILES["expectations/trips.yaml"] + count
    write(root, "feature_repo/expectations/trips.yaml", suite)
    with pytest.raises(ValidationFailedError, match="expect_table_row_count_to_be_between: observed 2"):
        ingest(root)


def test_released_rows_are_published_in_their_window_once_however_often(root: Path) -> None:
    ingest(root)
    assert rule(root, "one", "release") == {"ruling": "released", "rows": 1, "again": True}
    version = Lake(load_project(root).locations.lake).version("trips")
    assert sizes(root) == {"a": 10, "b": 20, "bad": -50000}
    assert states(root) == {"bad": "released"}
    assert rule(root, "two", "release") == {"ruling": "released", "rows": 0, "again": True}
    assert Lake(load_project(root).locations.lake).version("trips") == version
    (ruling,) = Ledger(load_project(root).locations.ledger_url).rulings("trips")
    assert (ruling.row_key, ruling.ruling, ruling.who, ruling.run_id) == ("bad", "released", "me", "one")


def test_a_release_killed_after_its_ruling_is_done_again_with_the_same_result(
    root: Path,
) -> None:
    ingest(root)
    settings = {"action": "release", "keys": None, "who": "me"}
    snapshot = take_snapshot(
        load_project(root), "trips__quarantine", "killed", dataset="trips", window=FIRST, settings=settings
    )
    code = (
        "import os, sys; from pathlib import Path; from keepfit.pipeline.ruling import QuarantineRun;"
        "from keepfit.pipeline.snapshot import open_snapshot;"
        f"QuarantineRun(open_snapshot(Path(sys.argv[1]))).rule(); os.kill(os.getpid(), {int(signal.SIGKILL)})"
    )
    died = subprocess.run(
        [sys.executable, "-c", code, str(snapshot.folder.path)], env=dict(os.environ), check=False
    )
    assert died.returncode == -signal.SIGKILL
    assert sizes(root) == {"a": 10, "b": 20}
    assert rule(root, "killed", "release")["again"]
    assert sizes(root) == {"a": 10, "b": 20, "bad": -50000}


@pytest.mark.parametrize("ruled_before", ["transform", "publish"])
def test_a_release_while_the_window_is_ingested_again_is_not_lost(root: Path, ruled_before: str) -> None:
    ingest(root)
    snapshot = take_snapshot(load_project(root), "trips__ingest", "again", dataset="trips", window=FIRST)
    run = IngestRun(snapshot, NOWHERE)
    for step in STEPS:
        if step == ruled_before:
            rule(root, "meanwhile", "release")
        getattr(run, step)()
    assert states(root) == {"bad": "released"}
    assert sizes(root) == {"a": 10, "b": 20, "bad": -50000}


def test_a_release_while_the_window_is_written_is_not_lost(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(root)
    write_to_lake = Lake.publish
    ruled: list[str] = []

    def publish_late(lake: Lake, table: str, *args: Any, **options: Any) -> Any:
        if table == "trips" and not ruled:
            ruled.append(table)
            rule(root, "meanwhile", "release")
        return write_to_lake(lake, table, *args, **options)

    monkeypatch.setattr(Lake, "publish", publish_late)
    ingest(root, "again")
    assert sizes(root) == {"a": 10, "b": 20, "bad": -50000}


def test_a_release_in_a_computed_dataset_while_its_window_is_ingested_is_not_lost(root: Path) -> None:
    write(root, "data/trips.csv", HEAD + GOOD)
    ingest(root)
    ingest(root, dataset="totals")
    snapshot = take_snapshot(load_project(root), "totals__ingest", "again", dataset="totals", window=FIRST)
    run = IngestRun(snapshot, NOWHERE)
    for step in STEPS[:-1]:
        getattr(run, step)()
    (row,) = held_in(root, dataset="totals")
    ruling = Ruling("totals", row.key, row.digest, row.window, "released", "me", "meanwhile")
    Ledger(load_project(root).locations.ledger_url).rule([ruling])
    assert run.publish()["rows"] == 2
    assert sizes(root, "totals", "total") == {"a": 10, "b": 20}


def test_an_ingest_of_the_window_replaces_what_is_in_quarantine_but_keeps_to_rulings(root: Path) -> None:
    write(root, "data/trips.csv", HEAD + GOOD + BAD)
    ingest(root)
    rule(root, "release", "release")
    other = BAD.replace("bad", "other")
    more = GOOD.replace("01 01:", "01 05:").replace("a,", "d,").replace("b,", "e,").replace("c,", "f,")
    write(root, "data/trips.csv", HEAD + GOOD + more + BAD + other)
    ingest(root, "again")
    assert states(root) == {"bad": "released", "other": "pending"}
    assert "bad" in sizes(root)
    write(root, "data/trips.csv", HEAD + GOOD + BAD.replace("-5000,", "-4000,"))
    ingest(root, "changed")
    assert states(root) == {"bad": "pending"}, "a row of other values is another row"
    write(root, "data/trips.csv", HEAD + GOOD)
    ingest(root, "clean")
    assert states(root) == {}


def test_windows_do_not_touch_each_other(root: Path) -> None:
    write(root, "data/trips.csv", HEAD + GOOD + BAD + "late,2013-01-02 05:00:00,-1,1.5\n")
    ingest(root)
    ingest(root, window=SECOND)
    assert states(root) == {"bad": "pending", "late": "pending"}
    assert states(root, SECOND) == {"late": "pending"}
    rule(root, "drop", "drop", window=SECOND)
    assert states(root) == {"bad": "pending", "late": "dropped"}


def test_a_dropped_row_stays_out_and_may_be_released_by_its_key(root: Path) -> None:
    ingest(root)
    assert rule(root, "drop", "drop") == {"ruling": "dropped", "rows": 1, "again": False}
    ingest(root, "again")
    assert sizes(root) == {"a": 10, "b": 20}
    assert rule(root, "release", "release")["rows"] == 0, "without its key only what no one ruled on is meant"
    assert rule(root, "by key", "release", "bad")["rows"] == 1
    assert "bad" in sizes(root)
    assert rule(root, "no", "drop", "bad") == {"ruling": "dropped", "rows": 1, "again": True}
    assert "bad" not in sizes(root)


@pytest.mark.parametrize("keys", ['"one, two"', ["one, two"]])
def test_a_key_with_a_comma_is_ruled_on(root: Path, keys: str | list[str]) -> None:
    write(root, "data/trips.csv", HEAD + GOOD + BAD + BAD.replace("bad", '"one, two"'))
    ingest(root)
    assert rule(root, "comma", "drop", keys)["rows"] == 1
    assert states(root) == {"bad": "pending", "one, two": "dropped"}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a, b ,,c|1", {"a", "b", "c|1"}),
        ('"a,b" , c', {"a,b", "c"}),
        ('" a "', {" a "}),
        ('"say ""a"", b"', {'say "a", b'}),
        ('"a"b,c', {'"a"b', "c"}),
        ('""', {""}),
        ('a,"",', {"a", ""}),
        ("", set()),
        ("  ", set()),
        (None, set()),
        ([""], {""}),
        (["a, b", " c"], {"a, b", " c"}),
    ],
)
def test_keys_are_read_from_a_text_or_a_list(text: str | list[str] | None, keys: set[str]) -> None:
    assert keys_of(text) == keys


@pytest.mark.parametrize("keys", [",", " , ,", []])
def test_keys_that_name_none_are_refused_and_rule_on_nothing(root: Path, keys: str | list[str]) -> None:
    ingest(root)
    with pytest.raises(ConfError) as refused:
        rule(root, "none", "release", keys)
    said = 'which names no key. Leave it out, or write the empty key as "".'
    assert str(refused.value) == f"keys is {keys!r}, {said}"
    assert states(root) == {"bad": "pending"}


@pytest.mark.parametrize("keys", ['""', [""]])
def test_the_empty_key_names_the_row_without_one_and_no_other(root: Path, keys: str | list[str]) -> None:
    write(root, "data/trips.csv", HEAD + GOOD + BAD)
    ingest(root)
    with pytest.raises(ConfError, match='No row of trips with the key "" is in quarantine'):
        rule(root, "nobody", "release", keys)
    other = BAD.replace("bad", "")
    more = GOOD.replace("a,", "d,").replace("b,", "e,").replace("c,", "f,")
    write(root, "data/trips.csv", HEAD + GOOD + more + BAD + other)
    ingest(root, "again")
    assert rule(root, "one", "drop", keys)["rows"] == 1
    assert states(root) == {"": "dropped", "bad": "pending"}


def take(root: Path, columns: str, query: str, **rows: list[Any]) -> None:
    """Let the dataset take rows of a Parquet file, in place of the text files."""
    spec = FILES["datasets/trips.yaml"].replace("*.csv", "*.parquet").replace("weight: float64", columns)
    if "sub" in rows:
        spec = spec.replace("key: [key]", "key: [key, sub]")
    suite = "".join(FILES["expectations/trips.yaml"].splitlines(keepends=True)[:4])
    write(root, "feature_repo/datasets/trips.yaml", spec)
    write(root, "feature_repo/expectations/trips.yaml", suite)
    write(root, "feature_repo/transforms/trips.sql", query)
    seen = [datetime(2013, 1, 1, 1, tzinfo=UTC)] * len(rows["key"])
    pq.write_table(pa.table({"seen": seen, **rows}), root / "data/trips.parquet")


def take_compound(root: Path, *keys: tuple[str, str]) -> None:
    first, second = [["a", "b", "c", *each] for each in zip(*keys, strict=True)]
    sizes = [1, 1, 1, *range(-len(keys), 0)]
    take(root, "sub: string", "SELECT key, sub, seen, size FROM source", key=first, sub=second, size=sizes)


def test_compound_keys_of_the_same_letters_are_ruled_on_one_by_one(root: Path) -> None:
    take_compound(root, ("x|y", "z"), ("x", "y|z"), ("x\\", "y"))
    ingest(root)
    assert states(root) == dict.fromkeys([r"x\|y|z", r"x|y\|z", r"x\\|y"], "pending")
    assert rule(root, "one", "release", r"x\|y|z")["rows"] == 1
    assert states(root) == {r"x\|y|z": "released", r"x|y\|z": "pending", r"x\\|y": "pending"}
    assert set(sizes(root)) == {"a", "b", "c", "x|y"}


def test_a_ruling_under_a_compound_key_that_was_not_escaped_stands(root: Path) -> None:
    take_compound(root, ("x|y", "z"), ("v", "w"))
    ingest(root)
    digests = {each.key: each.digest for each in held_in(root)}
    old = Ruling("trips", "x|y|z", digests[r"x\|y|z"], FIRST.key, "released", "me", "old")
    Ledger(load_project(root).locations.ledger_url).rule([old])
    ingest(root, "again")
    assert states(root) == {"x|y|z": "released", "v|w": "pending"}
    assert set(sizes(root)) == {"a", "b", "c", "x|y"}
    assert rule(root, "no", "drop", "x|y|z")["rows"] == 1
    assert states(root) == {"x|y|z": "dropped", "v|w": "pending"}


def test_a_row_whose_missing_value_becomes_an_empty_text_is_another_row(root: Path) -> None:
    def put(note: str | None) -> None:
        notes, query = pa.array(["x", "x", note], pa.string()), "SELECT key, seen, size, note FROM source"
        take(root, "note: string", query, key=["a", "b", "bad"], size=[1, 1, -5], note=notes)

    put(None)
    ingest(root)
    (row,) = held_in(root)
    assert row.digest == "6edc64bdc2665fd13760b853c95c64c2", "as rulings on record have it"
    rule(root, "one", "release", "bad")
    put("")
    ingest(root, "empty")
    assert states(root) == {"bad": "pending"}
    put(None)
    ingest(root, "missing")
    assert states(root) == {"bad": "released"}


def test_more_rows_than_are_read_at_a_time_are_ruled_on_whole(root: Path) -> None:
    rows = [(f"k{each}", "-1" if each % 2 else "1") for each in range(2 * PIECE + 10)]
    text = "".join(f"{key},2013-01-01 04:00:00,{size},1.5\n" for key, size in rows)
    write(root, "data/trips.csv", HEAD + text)
    ingest(root)
    assert rule(root, "drop", "drop")["rows"] == PIECE + 5
    assert rule(root, "release", "release", ["k1", "k3"]) == {"ruling": "released", "rows": 2, "again": True}
    ledger = Ledger(load_project(root).locations.ledger_url)
    assert [len(piece) for piece in ledger.ruled("trips")] == [PIECE, 7]
    assert ledger.count_rulings("trips") == PIECE + 7
    assert {key for key, state in states(root).items() if state == "released"} == {"k1", "k3"}
    assert len(sizes(root)) == PIECE + 5 + 2


def test_an_unknown_key_or_action_is_refused(root: Path) -> None:
    ingest(root)
    with pytest.raises(ConfError, match=r"No row of trips with the key bat is in quarantine in "):
        rule(root, "x", "release", "bat")
    with pytest.raises(ConfError, match=r"action is 'free'\. Give one of: release, drop\."):
        rule(root, "y", "free")


def test_rows_that_are_there_twice_are_both_set_aside(root: Path) -> None:
    write(
        root,
        "data/trips.csv",
        HEAD + GOOD + GOOD.splitlines(keepends=True)[1] + GOOD.replace("-01 0", "-01 1"),
    )
    write(root, "data/trips.csv", HEAD + GOOD + GOOD.splitlines()[1].replace(",2,", ",7,") + "\n")
    write(
        root, "data/trips2.csv", HEAD + "".join(f"k{each},2013-01-01 03:00:00,1,1.5\n" for each in range(9))
    )
    ingest(root)
    assert "b" not in sizes(root)
    assert len(held_in(root)) == 2
    with pytest.raises(
        ConfError, match="b: more than one row of trips in quarantine has this key, and a key"
    ):
        rule(root, "both", "release", "b")
    assert set(states(root).values()) == {"pending"}


def test_a_computed_dataset_sets_rows_aside_and_releases_none_of_its_inputs(root: Path) -> None:
    write(root, "data/trips.csv", HEAD + GOOD)
    ingest(root)
    done = ingest(root, dataset="totals")
    assert (done["transform"]["rows"], done["publish"]["rows"]) == (1, 1)
    assert sizes(root, "totals", "total") == {"a": 10}
    assert states(root, dataset="totals") == {"b": "pending"}


def test_every_result_stays_small_and_plain_json(root: Path) -> None:
    assert all(len(json.dumps(result)) < 10_000 for result in ingest(root).values())


def test_quarantine_needs_a_suite(root: Path) -> None:
    spec = FILES["datasets/trips.yaml"].replace("expectations: trips\n", "")
    write(root, "feature_repo/datasets/trips.yaml", spec)
    assert "`quarantine` sets aside what fails the suite: give `expectations`" in "".join(
        map(str, check_project(root))
    )


def keepfit(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "keepfit", "quarantine", "trips", *arguments, "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_lists_and_releases(root: Path) -> None:
    store = Path(__file__).parents[2] / "feature_repo" / "feature_store.yaml"
    write(root, "feature_repo/feature_store.yaml", store.read_text())
    write(root, "data/trips.csv", HEAD + GOOD + BAD + BAD.replace("bad", '"one, two"'))
    ingest(root)
    listed = keepfit(root)
    assert listed.stdout.splitlines()[-2].split() == ["bad", "pending", FIRST.key, *REASONS.split()], listed
    window = ("--from", "2013-01-01", "--to", "2013-01-02")
    done = keepfit(root, "--release", "--key", "bad", "--key", "one, two", *window)
    assert done.returncode == 0, done.stderr
    assert {"bad", "one, two"} <= set(sizes(root))
    assert "--from and --to name the window together" in keepfit(root, "--release").stderr


@pytest.mark.slow
def test_a_release_has_the_windows_computed_from_the_older_rows_computed_again(root: Path) -> None:
    store = Path(__file__).parents[2] / "feature_repo" / "feature_store.yaml"
    write(root, "feature_repo/feature_store.yaml", store.read_text())
    suite = FILES["expectations/totals.yaml"].replace("max_value: 15", "max_value: 100")
    write(root, "feature_repo/expectations/totals.yaml", suite)
    ingest(root)
    ingest(root, dataset="totals")
    assert set(sizes(root, "totals", "total")) == {"a", "b"}
    done = keepfit(root, "--release", "--key", "bad", "--from", "2013-01-01", "--to", "2013-01-02")
    assert done.returncode == 0, done.stderr
    assert f"totals: ingest {FIRST.key}" in done.stdout
    assert set(sizes(root, "totals", "total")) == {"a", "b", "bad"}


def test_a_ruling_on_nothing_is_refused(root: Path) -> None:
    write(root, "data/trips.csv", HEAD + "a,2013-01-01 01:00:00,1,1.5\n")
    ingest(root)
    with pytest.raises(
        ConfError, match=r"^No row of trips is in quarantine in .*, so there is nothing to rule on"
    ):
        rule(root, "nothing", "release")
