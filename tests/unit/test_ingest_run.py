"""An ingest from file to lake: repeatable, all or nothing, and recorded."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from keepfit.backends.lake import Lake
from keepfit.errors import (
    KeepfitError,
    NotReadyError,
    SchemaError,
    SourceError,
    UnknownPluginError,
    ValidationFailedError,
)
from keepfit.ledger import Ledger, migrate
from keepfit.pipeline.folder import RunFolder
from keepfit.pipeline.ingest import IngestRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.plugins import Access
from keepfit.spec import Project, Window, load_project

NOWHERE = Access(url=lambda name: name, storage=lambda _: {})
FIRST, SECOND = Window.parse("2013-01-01", "2013-01-02"), Window.parse("2013-01-02", "2013-01-03")
BOTH = Window(FIRST.start, SECOND.end)
FILES = {
    "keepfit.yaml": "project: p\ndatabase: sqlite\nengine: {memory_limit: 256MB, threads: 1}\n",
    "datasets/trips.yaml": """
name: trips
source: {type: files, path: "data/trips*.csv"}
columns: {key: string, seen: timestamp, size: int64}
key: [key]
event_time: seen
expectations: trips
transform: trips
""",
    "transforms/trips.sql": "SELECT key, seen, size * 10 AS size FROM source",
    "expectations/trips.yaml": """
name: trips
expectations:
- {type: expect_column_values_to_be_between, kwargs: {column: size, min_value: 0}}
- {type: expect_column_values_to_be_between, kwargs: {column: size, max_value: 100}, severity: warning}
""",
    "datasets/places.yaml": """
name: places
source: {type: files, path: data/places.csv}
columns: {place: string, listed: timestamp, beds: int64}
key: [place]
event_time: listed
snapshot: true
""",
    "datasets/totals.yaml": """
name: totals
source: {type: datasets, inputs: [trips, places], lookback: 1d}
key: [day]
event_time: day
transform: totals
expectations: totals
""",
    "transforms/totals.sql": """
SELECT $window_start AS day, sum(size) AS total, (SELECT sum(beds) FROM places) AS beds FROM trips
""",
    "expectations/totals.yaml": """
name: totals
expectations:
- {type: expect_column_values_to_be_between, kwargs: {column: total, max_value: 1000}}
""",
    "datasets/made.yaml": """
name: made
source: {type: plugin, name: "made_rows:make", options: {rows: 5}}
columns: {key: int64, seen: timestamp}
key: [key]
event_time: seen
""",
}
PLUGIN = """
from datetime import timedelta
import pyarrow as pa, pyarrow.parquet as pq

def make(request):
    hours = range(-1, request.options["rows"])
    seen = [request.window.start + timedelta(hours=each) for each in hours]
    pq.write_table(pa.table({"key": list(hours), "seen": seen, "more": ["x"] * len(hours)}), request.out)

def nothing(request):
    pass
"""
TRIPS = "key,seen,size\na,2013-01-01 01:00:00,1\nb,2013-01-01 02:00:00,2\nc,2013-01-02 03:00:00,3\n"
STEPS = ("extract", "check_schema", "validate", "transform", "publish")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    path = sys.path[:]
    for name, text in FILES.items():
        write(tmp_path, f"feature_repo/{name}", text)
    write(tmp_path, "data/trips.csv", TRIPS)
    write(tmp_path, "data/places.csv", "place,listed,beds\nx,2010-01-01,4\ny,2011-01-01,6\n")
    write(tmp_path, "plugins/made_rows.py", PLUGIN)
    migrate(load_project(tmp_path).locations.ledger_url)
    yield tmp_path
    sys.path[:] = path
    sys.modules.pop("made_rows", None)


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def edit(root: Path, name: str, old: str, new: str) -> None:
    file = root / "feature_repo" / name
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def run_of(root: Path, dataset: str, window: Window = FIRST, run_id: str = "r", **settings: Any) -> IngestRun:
    project = load_project(root)
    assert project.problems == ()
    dag = f"{dataset}__ingest"
    run = f"{run_id}-{window.key}"
    return IngestRun(
        take_snapshot(project, dag, run, dataset=dataset, window=window, settings=settings), NOWHERE
    )


def ingest(
    root: Path, dataset: str, window: Window = FIRST, run_id: str = "r", **settings: Any
) -> dict[str, Any]:
    run = run_of(root, dataset, window, run_id, **settings)
    return {step: getattr(run, step)() for step in STEPS}


def published(root: Path, dataset: str) -> list[dict[str, Any]]:
    spec = load_project(root).dataset(dataset)
    table = (
        Lake(lake_of(root)).dataset(dataset).to_table().sort_by([(name, "ascending") for name in spec.key])
    )
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def lake_of(root: Path) -> Path:
    return load_project(root).locations.lake


def ledger(root: Path) -> Ledger:
    return Ledger(load_project(root).locations.ledger_url)


def test_a_window_goes_from_file_to_lake_and_ledger(root: Path) -> None:
    done = ingest(root, "trips")
    assert [(row["key"], row["size"]) for row in published(root, "trips")] == [("a", 10), ("b", 20)]
    assert (done["extract"]["rows"], done["publish"]["rows"], done["publish"]["warnings"]) == (2, 2, [])
    (record,) = ledger(root).publications("trips")
    assert (record.window_start, record.window_end) == (FIRST.start, FIRST.end)
    assert (record.rows, record.digest, record.version) == (2, done["publish"]["digest"], 0)
    assert record.run_id == f"r-{FIRST.key}"


def test_what_tasks_hand_on_is_small_and_plain_json(root: Path) -> None:
    assert all(len(json.dumps(result)) < 10_000 for result in ingest(root, "trips").values())


def test_every_step_done_again_changes_nothing(root: Path) -> None:
    first = ingest(root, "trips")
    assert ingest(root, "trips") == first
    assert Lake(lake_of(root)).version("trips") == 0
    assert len(ledger(root).publications("trips")) == 1


def test_another_run_of_the_window_publishes_the_same_rows_once(root: Path) -> None:
    first = ingest(root, "trips")
    again = ingest(root, "trips", run_id="again")
    assert again["publish"] == first["publish"]
    assert Lake(lake_of(root)).version("trips") == 0


def test_a_corrected_window_replaces_the_old_one(root: Path) -> None:
    ingest(root, "trips", BOTH)
    write(root, "data/trips.csv", TRIPS.replace("b,2013-01-01 02:00:00,2", "b,2013-01-01 02:00:00,7"))
    ingest(root, "trips", FIRST, "corrected")
    assert [row["size"] for row in published(root, "trips")] == [10, 70, 30]


def test_a_publication_of_far_fewer_rows_than_before_is_told_with_both_numbers(root: Path) -> None:
    ingest(root, "trips", BOTH)
    write(root, "data/trips.csv", TRIPS.splitlines()[0] + "\n")
    told = ingest(root, "trips", FIRST, "lost")["publish"]["warnings"]
    assert told == [
        "The window has no rows; it is published as empty.",
        "0 rows take the place of 2 that were published. "
        "If the source has lost the others, restore it and run this again.",
    ]


def test_a_key_that_comes_again_in_another_window_is_told_with_its_count(root: Path) -> None:
    ingest(root, "trips", FIRST)
    moved = TRIPS + "a,2013-01-02 04:00:00,4\nb,2013-01-02 05:00:00,5\n"
    write(root, "data/trips.csv", moved)
    (warning,) = ingest(root, "trips", SECOND)["publish"]["warnings"]
    assert warning == (
        "2 keys are published in another window too, such as key=a; key=b. What joins by the key alone takes "
        "the row known last. If each is a row of its own, add seen or what tells them apart "
        "to `key` in datasets/trips.yaml; if rows have moved, publish the other window again."
    )
    assert ingest(root, "trips", SECOND)["publish"]["warnings"] == [warning], "a retry says the same"
    assert ingest(root, "trips", BOTH.shifted(-2 * (BOTH.end - BOTH.start)), "e")["publish"]["warnings"] == [
        "The window has no rows; it is published as empty."
    ]


def test_a_key_with_its_event_time_may_come_again_in_another_window(root: Path) -> None:
    edit(root, "datasets/trips.yaml", "key: [key]", "key: [key, seen]")
    write(root, "data/trips.csv", TRIPS + "a,2013-01-02 04:00:00,4\n")
    for window in (FIRST, SECOND):
        assert ingest(root, "trips", window)["publish"]["warnings"] == []


def test_a_critical_failure_publishes_nothing_and_leaves_a_report(root: Path) -> None:
    write(root, "data/trips.csv", TRIPS.replace(",2\n", ",-2\n"))
    run = run_of(root, "trips")
    run.extract()
    run.check_schema()
    with pytest.raises(ValidationFailedError, match=r"size: expect_column_values_to_be_between: 1 of 2 rows"):
        run.validate()
    folder = load_project(root).locations.runs / "trips__ingest" / f"r-{FIRST.key}"
    assert json.loads((folder / "validate.json").read_text())["worst"] == "critical"
    assert "nothing was published" in (folder / "validation.html").read_text()
    assert not Lake(lake_of(root)).exists("trips")
    assert ledger(root).publications("trips") == []


def test_a_warning_marks_and_goes_on(root: Path) -> None:
    write(root, "data/trips.csv", TRIPS.replace(",2\n", ",200\n"))
    done = ingest(root, "trips")
    assert (done["validate"]["worst"], done["publish"]["rows"]) == ("warning", 2)


def test_an_empty_window_is_published_as_empty_with_a_warning(root: Path) -> None:
    empty = Window.parse("2014-01-01", "2014-01-02")
    done = ingest(root, "trips", empty)
    assert done["extract"]["rows"] == 0
    assert done["check_schema"]["warnings"] == ["The source has no rows for this window."]
    assert done["publish"]["warnings"] == ["The window has no rows; it is published as empty."]
    assert ledger(root).covers("trips", empty)


def test_rows_without_a_time_are_counted_and_not_published(root: Path) -> None:
    write(root, "data/trips.csv", TRIPS + "lost,NA,4\n")
    done = ingest(root, "trips")
    assert done["check_schema"]["warnings"] == ["1 rows have no time and belong to no window."]
    assert [row["key"] for row in published(root, "trips")] == ["a", "b"]


def test_rows_that_their_window_leaves_out_and_no_other_reads_are_warned_of(root: Path) -> None:
    edit(root, "datasets/trips.yaml", "timestamp, size", "timestamp, sent: timestamp, size")
    edit(root, "datasets/trips.yaml", "event_time: seen", "event_time: seen\nwindow_column: sent")
    rows = "a,2013-01-01 01:00:00,2013-01-01 02:00:00,1\nb,2012-12-31 23:00:00,2013-01-01 03:00:00,2\n"
    write(root, "data/trips.csv", f"key,seen,sent,size\n{rows}")
    done = ingest(root, "trips")
    assert (done["transform"]["rows"], done["transform"]["outside"]) == (1, 1)
    assert done["transform"]["warnings"] == [
        "1 rows that 'sent' places in 20130101T000000Z_20130102T000000Z have their event time 'seen' "
        "outside it. They are left out, and no other window reads them. Choose another `window_column` or "
        "`event_time` in datasets/trips.yaml, or ingest windows long enough to hold both."
    ]


def test_rows_of_other_windows_that_a_lookback_brings_are_no_warning(root: Path) -> None:
    ingest(root, "trips", BOTH)
    ingest(root, "places")
    edit(root, "transforms/totals.sql", "$window_start AS day", "unnest([$window_start, $window_end]) AS day")
    done = ingest(root, "totals", SECOND)
    assert (done["transform"]["outside"], done["transform"]["warnings"]) == (1, [])


def test_the_first_day_of_the_calendar_is_a_window_like_any_other(root: Path) -> None:
    first = Window.parse("0001-01-01", "0001-01-02")
    write(root, "data/trips.csv", "key,seen,size\na,0001-01-01 01:00:00,1\n")
    ingest(root, "places", first)
    ingest(root, "trips", first)
    done = ingest(root, "totals", first)
    assert (done["publish"]["window"], done["publish"]["rows"]) == (first.key, 1)
    assert [row["total"] for row in published(root, "totals")] == [10]


def test_an_edit_in_the_middle_of_a_run_does_not_change_it(root: Path) -> None:
    run = run_of(root, "trips")
    run.extract()
    edit(root, "transforms/trips.sql", "size * 10", "size * 1000")
    edit(root, "expectations/trips.yaml", "min_value: 0", "min_value: 1000000")
    run = run_of(root, "trips")
    for step in STEPS[1:]:
        getattr(run, step)()
    assert [row["size"] for row in published(root, "trips")] == [10, 20]


def test_a_step_before_its_time_names_the_one_that_is_missing(root: Path) -> None:
    with pytest.raises(NotReadyError, match=r"extract\.json is missing: the step 'extract' has not finished"):
        run_of(root, "trips").transform()


def test_a_snapshot_is_replaced_whole_and_stands_for_all_time(root: Path) -> None:
    ingest(root, "places", FIRST)
    write(root, "data/places.csv", "place,listed,beds\nz,2012-01-01,1\n")
    ingest(root, "places", SECOND)
    assert [row["place"] for row in published(root, "places")] == ["z"]
    assert ledger(root).covers("places", Window.parse("2030-01-01", "2030-01-02"))


def test_a_plugin_is_held_to_the_declared_columns_and_the_window(root: Path) -> None:
    ingest(root, "made")
    assert [row["key"] for row in published(root, "made")] == [0, 1, 2, 3, 4]
    assert list(published(root, "made")[0]) == ["key", "seen"]


def test_a_plugin_that_writes_nothing_is_told_so(root: Path) -> None:
    edit(root, "datasets/made.yaml", "made_rows:make", "made_rows:nothing")
    with pytest.raises(SourceError, match="Dataset made: the source 'made_rows:nothing' wrote no file"):
        run_of(root, "made").extract()


def test_an_unknown_plugin_is_named(root: Path) -> None:
    edit(root, "datasets/made.yaml", "made_rows:make", "maid_rows:make")
    with pytest.raises(UnknownPluginError, match=r"'maid_rows:make' of 'keepfit\.sources' does not load"):
        run_of(root, "made").extract()


def test_a_dataset_computed_from_others_waits_for_all_of_them(root: Path) -> None:
    ingest(root, "trips")
    with pytest.raises(NotReadyError) as waiting:
        run_of(root, "totals").extract()
    assert str(waiting.value) == (
        f"Dataset totals: places is not published for the whole of {FIRST.key}, and it is computed from it. "
        "Ingest that first, or try again when it is there; `keepfit list` shows the gaps."
    )


def test_a_dataset_is_computed_from_others_with_its_lookback(root: Path) -> None:
    ingest(root, "places")
    for window in (FIRST, SECOND):
        ingest(root, "trips", window)
        ingest(root, "totals", window)
    assert [(row["total"], row["beds"]) for row in published(root, "totals")] == [(30, 10), (60, 10)]


def test_a_retry_computes_from_the_versions_the_run_began_with(root: Path) -> None:
    ingest(root, "places")
    ingest(root, "trips")
    run = run_of(root, "totals")
    run.extract()
    write(root, "data/trips.csv", TRIPS.replace(",2\n", ",50\n"))
    ingest(root, "trips", run_id="corrected")
    for step in STEPS[1:]:
        getattr(run, step)()
    assert [row["total"] for row in published(root, "totals")] == [30]


def test_a_computed_dataset_is_held_against_its_suite_before_it_is_published(root: Path) -> None:
    write(root, "data/trips.csv", TRIPS.replace(",2\n", ",99\n"))
    edit(root, "expectations/totals.yaml", "1000", "100")
    ingest(root, "places")
    ingest(root, "trips")
    with pytest.raises(ValidationFailedError, match="total: expect_column_values_to_be_between: 1 of 1 rows"):
        ingest(root, "totals")
    assert not Lake(lake_of(root)).exists("totals")


def test_a_column_that_goes_is_refused_until_a_full_refresh_replaces_all_windows(root: Path) -> None:
    ingest(root, "trips", FIRST)
    ingest(root, "trips", SECOND)
    edit(root, "transforms/trips.sql", "size * 10 AS size", "size::VARCHAR AS label")
    with pytest.raises(
        SchemaError, match=r"Table trips is published with other columns: size \(int64\) is gone"
    ):
        ingest(root, "trips", SECOND, "new")
    done = ingest(root, "trips", SECOND, "refresh", full_refresh=True)
    assert done["publish"]["window"] == BOTH.key
    assert [row["label"] for row in published(root, "trips")] == ["1", "2", "3"]
    assert Lake(lake_of(root)).columns("trips") == {"key": "string", "seen": "timestamp", "label": "string"}


_STEP = """
import sys
from pathlib import Path
from keepfit.pipeline.folder import RunFolder
from keepfit.pipeline.ingest import IngestRun
from keepfit.pipeline.snapshot import open_snapshot
from keepfit.plugins import Access
run = IngestRun(open_snapshot(Path(sys.argv[1])), Access(url=str, storage=lambda _: {}))
print("ready", flush=True)
sys.stdin.readline()
for step in sys.argv[2:]:
    getattr(run, step)()
"""


def start(project: Project, run_id: str, *steps: str) -> subprocess.Popen[str]:
    """Start a process that is about to do some steps of a run."""
    snapshot = take_snapshot(project, "trips__ingest", run_id, dataset="trips", window=FIRST, settings={})
    command = [sys.executable, "-c", _STEP, str(snapshot.folder.path), *steps]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_two_runs_of_one_window_at_once_publish_it_once(root: Path) -> None:
    both = [start(load_project(root), name, *STEPS) for name in ("one", "two")]
    for process in both:
        go(process)
    for process in both:
        process.communicate(timeout=300)
        assert process.returncode == 0
    assert [row["key"] for row in published(root, "trips")] == ["a", "b"]
    assert Lake(lake_of(root)).version("trips") == 0
    assert {each.version for each in ledger(root).publications("trips")} == {0}


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_a_step_killed_at_any_moment_is_done_again_with_the_same_result(root: Path, step: str) -> None:
    rows = "".join(f"k{each:06},2013-01-01 {each % 24:02}:00:00,{each % 100}\n" for each in range(50_000))
    write(root, "data/trips.csv", f"key,seen,size\n{rows}")
    folder = load_project(root).locations.runs / "trips__ingest" / "killed"
    for wait in (0.0, 0.05, 0.2):
        for stored in folder.glob("[!s]*.json"):
            stored.unlink()
        process = start(load_project(root), "killed", *STEPS[: STEPS.index(step) + 1])
        go(process)
        wait_for(folder / f"{STEPS[STEPS.index(step) - 1]}.json" if step != STEPS[0] else folder)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=300)
    project = load_project(root)
    run = IngestRun(take_snapshot(project, "trips__ingest", "killed", dataset="trips", window=FIRST), NOWHERE)
    again = {name: getattr(run, name)() for name in STEPS}
    assert again == ingest(root, "trips", run_id="undisturbed")
    assert len(published(root, "trips")) == 50_000
    assert [path.name for path in folder.iterdir() if path.name.startswith(".scratch")] == []


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_every_error_is_one_of_ours(root: Path) -> None:
    write(root, "data/trips.csv", "key,seen\n")
    with pytest.raises(KeepfitError):
        run_of(root, "trips").extract()


def test_the_published_file_is_sorted_and_of_the_window(root: Path) -> None:
    ingest(root, "trips", BOTH)
    folder = load_project(root).locations.runs / "trips__ingest" / f"r-{BOTH.key}"
    assert pq.read_table(folder / "published.parquet")["key"].to_pylist() == ["a", "b", "c"]


def test_a_gap_in_the_lookback_is_waited_for(root: Path) -> None:
    third = SECOND.shifted(SECOND.end - SECOND.start)
    ingest(root, "places")
    for window in (FIRST, third):
        ingest(root, "trips", window)
    run = run_of(root, "totals", third)
    assert run.wait_for() == ("trips",)
    with pytest.raises(
        NotReadyError, match=f"trips is not .* whole of {Window(SECOND.start, third.end).key}"
    ):
        run.extract()
    ingest(root, "trips", SECOND)
    assert run.wait_for() == ()
    assert run_of(root, "totals", FIRST).wait_for() == (), "nothing lies before the first publication"


_WRITER = """
import sys
from pathlib import Path
from keepfit.pipeline.folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
with folder.staged("rows.parquet") as staged, folder.scratch("extract") as scratch:
    staged.write_text("half")
    (scratch / "spilt").write_text("half")
    print(staged.name, scratch.name, flush=True)
    sys.stdin.read()
"""


def test_what_a_process_has_left_is_removed_once_it_is_dead_and_not_before(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        theirs = writer.stdout.readline().split()
        with folder.staged("rows.parquet") as mine, folder.scratch("extract"):
            mine.write_text("whole")
        assert all((tmp_path / name).exists() for name in theirs)
        writer.kill()
    with folder.staged("rows.parquet") as mine, folder.scratch("extract"):
        mine.write_text("again")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_what_a_killed_step_has_left_is_removed(root: Path) -> None:
    run = run_of(root, "trips")
    folder = run._folder
    stale, other = (folder.path / f".{name}.0a1b2c3d" for name in ("extracted.parquet", "published.parquet"))
    stale.mkdir()
    other.write_text("")
    run.extract()
    assert (stale.exists(), other.exists()) == (False, True)
