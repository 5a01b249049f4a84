"""Rows that come late: what was computed from the older ones is computed again, whatever the order."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from keepfit.backends.lake import Lake
from keepfit.errors import NotReadyError
from keepfit.ledger import Ledger, migrate
from keepfit.pipeline.ingest import IngestRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.plugins import Access
from keepfit.spec import Window, load_project

NOWHERE = Access(url=lambda name: name, storage=lambda _: {})
DAYS = [Window.parse("2013-01-01", "2013-01-02").shifted(timedelta(days=number)) for number in range(4)]
FILES = {
    "keepfit.yaml": "project: p\ndatabase: sqlite\nengine: {memory_limit: 256MB, threads: 1}\n",
    "datasets/trips.yaml": """
name: trips
source: {type: files, path: "data/trips*.csv"}
columns: {key: string, seen: timestamp, size: int64}
key: [key]
event_time: seen
""",
    "datasets/places.yaml": """
name: places
source: {type: files, path: data/places.csv}
columns: {place: string, listed: timestamp, beds: int64}
key: [place]
event_time: listed
snapshot: true
""",
    "datasets/lately.yaml": """
name: lately
description: The trips of the last day.
source: {type: datasets, inputs: [trips, places], lookback: 1d}
key: [day]
event_time: day
transform: lately
""",
    "transforms/lately.sql": """
SELECT $window_start AS day, sum(size) AS total, (SELECT sum(beds) FROM places) AS beds FROM trips
""",
    "datasets/growth.yaml": """
name: growth
description: From one day's sum to the next.
source: {type: datasets, inputs: [lately], lookback: 1d}
key: [day]
event_time: day
transform: growth
""",
    "transforms/growth.sql": "SELECT $window_start AS day, max(total) - min(total) AS more FROM lately",
}
STEPS = ("extract", "check_schema", "validate", "transform", "publish")


class Project:
    """A small project, and its DAGs' way of starting each other, done by hand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, text in FILES.items():
            self.write(f"feature_repo/{name}", text)
        self.write("data/places.csv", "place,listed,beds\nx,2010-01-01,4\n")
        self.write_trips({number: number + 1 for number in range(len(DAYS))})
        self.locations = load_project(root).locations
        migrate(self.locations.ledger_url)
        self.runs: list[tuple[str, str]] = []

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def write_trips(self, sizes: dict[int, int]) -> None:
        rows = "".join(f"k{day},2013-01-{day + 1:02} 05:00:00,{size}\n" for day, size in sizes.items())
        self.write("data/trips.csv", f"key,seen,size\n{rows}")

    def begin(self, dataset: str, window: Window, run_id: str, **settings: Any) -> IngestRun:
        dag_id = f"{dataset}__ingest"
        return IngestRun(
            take_snapshot(
                load_project(self.root), dag_id, run_id, dataset=dataset, window=window, settings=settings
            ),
            NOWHERE,
        )

    def ingest(self, dataset: str, window: Window, run_id: str, **settings: Any) -> None:
        """Do a run, and after it all that it starts, as the DAGs do."""
        if (dataset, run_id) in self.runs:
            return  # Airflow answers that this run is there already.
        self.runs.append((dataset, run_id))
        run = self.begin(dataset, window, run_id, **settings)
        try:
            done = {step: getattr(run, step)() for step in STEPS}
        except NotReadyError:
            return  # The run has failed, and nobody clears it.
        self.wake(dataset, window, run, done["publish"]["wakes"])

    def wake(self, dataset: str, window: Window, run: IngestRun, wakes: bool) -> None:
        again = run.outdated(woken=True)["windows"]
        if wakes and dataset in ("trips", "lately"):
            self.ingest({"trips": "lately", "lately": "growth"}[dataset], window, f"asset-{len(self.runs)}")
        for each in again:
            self.ingest(each["dataset"], Window.of_key(each["window"]), each["run_id"], recompute=True)

    def load(self, days: Sequence[int]) -> None:
        self.ingest("places", DAYS[0], "places")
        for day in days:
            self.ingest("trips", DAYS[day], f"trips-{len(self.runs)}")

    def rows(self, dataset: str) -> dict[int, Any]:
        table = Lake(self.locations.lake).dataset(dataset).to_table().to_pylist()
        value = {"lately": "total", "growth": "more"}[dataset]
        return {row["day"].day - 1: row[value] for row in table}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_an_ordered_run_computes_each_window_once(project: Project) -> None:
    project.load([0, 1, 2, 3])
    assert project.rows("lately") == {0: 1, 1: 3, 2: 5, 3: 7}
    assert project.rows("growth") == {0: 0, 1: 2, 2: 2, 3: 2}
    assert len(project.runs) == 1 + 3 * len(DAYS)


@pytest.mark.parametrize("order", [*permutations(range(4))][1::3], ids=str)
def test_any_order_of_a_backfill_ends_in_the_rows_of_one_ordered_run(
    project: Project, order: Sequence[int]
) -> None:
    project.load(order)
    assert project.rows("lately") == {0: 1, 1: 3, 2: 5, 3: 7}
    assert project.rows("growth") == {0: 0, 1: 2, 2: 2, 3: 2}


def test_a_corrected_window_is_seen_by_all_that_look_back_to_it_and_by_no_other(project: Project) -> None:
    project.load([0, 1, 2, 3])
    before = len(project.runs)
    project.write_trips({0: 1, 1: 20, 2: 3, 3: 4})
    project.ingest("trips", DAYS[1], "corrected")
    assert project.rows("lately") == {0: 1, 1: 21, 2: 23, 3: 7}
    assert project.rows("growth") == {0: 0, 1: 20, 2: 2, 3: 16}
    computed = {(name, run.split("__")[1]) for name, run in project.runs[before:] if "__" in run}
    assert computed == {("growth", DAYS[2].key), ("lately", DAYS[2].key), ("growth", DAYS[3].key)}


def test_the_same_rows_again_call_for_nothing(project: Project) -> None:
    project.load([0, 1, 2])
    run = project.begin("trips", DAYS[0], "again")
    for step in STEPS:
        getattr(run, step)()
    assert run.outdated(woken=True)["windows"] == []


def test_an_input_published_while_a_window_is_computed_has_it_computed_again(project: Project) -> None:
    project.load([0, 1])
    late = project.begin("lately", DAYS[1], "late")
    late.extract()
    project.write_trips({0: 10, 1: 2})
    project.ingest("trips", DAYS[0], "corrected")
    for step in STEPS[1:]:
        getattr(late, step)()
    assert project.rows("lately")[1] == 3, "the run keeps to what it began with"
    project.wake("lately", DAYS[1], late, wakes=True)
    (again,) = late.outdated(woken=True)["windows"] or [None]
    assert again is not None
    assert (again["dataset"], again["window"]) == ("lately", DAYS[1].key)


def test_a_window_computed_again_wakes_nothing_unless_it_is_its_first_publication(project: Project) -> None:
    project.load([0, 1])
    for run_id, window, wakes in (("first", DAYS[2], True), ("again", DAYS[1], False)):
        run = project.begin("trips", window, run_id, recompute=True)
        done = [getattr(run, step)() for step in STEPS]
        assert done[-1]["wakes"] is wakes
        assert run.publish()["wakes"] is wakes, "a retry says the same"


def test_a_window_whose_run_folder_is_gone_counts_as_outdated(project: Project) -> None:
    project.load([0, 1])
    for file in (project.locations.runs / "lately__ingest").glob("*/extract.json"):
        file.unlink()
    run = project.begin("trips", DAYS[0], "again")
    for step in STEPS:
        getattr(run, step)()
    windows = [(each["dataset"], each["window"]) for each in run.outdated(woken=False)["windows"]]
    assert windows == [("lately", DAYS[0].key), ("lately", DAYS[1].key)]


def test_a_window_published_by_a_release_counts_with_what_that_run_read(project: Project) -> None:
    project.load([0, 1])
    settings = {"action": "release", "keys": None, "who": "me"}
    released = IngestRun(
        take_snapshot(
            load_project(project.root),
            "lately__quarantine",
            "released",
            dataset="lately",
            window=DAYS[1],
            settings=settings,
        ),
        NOWHERE,
    )
    first = project.begin("trips", DAYS[0], "again")
    for step in STEPS:
        getattr(first, step)()
    for step in STEPS:
        getattr(released, step)()
    assert first.outdated(woken=False)["windows"] == []
    project.write_trips({0: 10, 1: 2})
    corrected = project.begin("trips", DAYS[0], "corrected")
    for step in STEPS:
        getattr(corrected, step)()
    windows = [each["window"] for each in corrected.outdated(woken=False)["windows"]]
    assert windows == [DAYS[0].key, DAYS[1].key]


def test_of_windows_published_over_each_other_those_that_stand_are_computed_again_in_their_order(
    project: Project,
) -> None:
    project.load([0, 1, 2, 3])
    whole = Window(DAYS[0].start, DAYS[3].end)
    for window, run_id in ((whole, "whole"), (DAYS[2], "part")):
        run = project.begin("lately", window, run_id)
        for step in STEPS:
            getattr(run, step)()
    project.write_trips({0: 10, 1: 2, 2: 3, 3: 4})
    run = project.begin("trips", DAYS[0], "corrected")
    for step in STEPS:
        getattr(run, step)()
    windows = [each["window"] for each in run.outdated(woken=False)["windows"]]
    assert windows == [whole.key, DAYS[2].key], "the part is not of the corrected day, but stands above it"


def test_a_snapshot_replaced_makes_nothing_outdated(project: Project) -> None:
    project.load([0, 1])
    project.write("data/places.csv", "place,listed,beds\nx,2010-01-01,40\n")
    run = project.begin("places", DAYS[1], "new places")
    for step in STEPS:
        getattr(run, step)()
    assert run.outdated(woken=True)["windows"] == []


def test_a_window_says_how_old_the_snapshot_is_that_it_is_computed_from(project: Project) -> None:
    project.ingest("places", DAYS[1], "places")
    for day in DAYS:
        project.ingest("trips", day, f"trips-{day.key}")
    notes = [project.begin("lately", day, f"look-{day.key}").extract()["snapshots"] for day in DAYS]
    assert notes == [
        [
            "places was first taken as of 2013-01-03 00:00, after this window: what it said before is not "
            "known, and only listed keeps later facts out"
        ],
        ["places is as of 2013-01-03 00:00, at this window's end"],
        ["places is as of 2013-01-03 00:00, 1 d before this window's end"],
        ["places is as of 2013-01-03 00:00, 2 d before this window's end"],
    ]
    project.ingest("places", DAYS[3], "places again")
    assert project.begin("lately", DAYS[2], "look again").extract()["snapshots"] == [
        "places is as of 2013-01-05 00:00, 1 d after this window's end: only listed keeps later facts out"
    ]
    (first, last) = Ledger(project.locations.ledger_url).publications("places")
    assert (first.window_start, first.window_end, last.window_end) == (None, DAYS[1].end, DAYS[3].end)


def test_a_full_refresh_calls_for_nothing(project: Project) -> None:
    project.load([0, 1])
    run = project.begin("trips", DAYS[1], "refresh", full_refresh=True)
    for step in STEPS:
        getattr(run, step)()
    assert run.outdated(woken=True)["windows"] == []
    assert Ledger(project.locations.ledger_url).publications("trips")[-1].run_id == "refresh"
