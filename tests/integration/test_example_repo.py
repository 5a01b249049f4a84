"""The example under feature_repo/ and plugins/: real flights, no look into the future, any windows alike."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from keepfit.backends.lake import Lake
from keepfit.backends.validation import validate_rows
from keepfit.ledger import migrate
from keepfit.pipeline.ingest import IngestRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.plugins import Access
from keepfit.spec import Project, Window, check_project, load_project
from keepfit.spec.project import EngineSpec

CHECKOUT = Path(__file__).parents[2]
COMPUTED = ("carrier_delays", "plane_delays")
DATASETS = ("planes", "weather", "flights", *COMPUTED)
UNNEEDED = Access(url=lambda name: name, storage=lambda _: {})
THREE_WEEKS = Window.parse("2013-01-01", "2013-01-22")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from nyc_flights import write_source

    folder = tmp_path_factory.mktemp("source")
    write_source(folder)
    return folder


@dataclass(frozen=True)
class Example:
    """A copy of the example with its own source files and stores."""

    root: Path

    @classmethod
    def over(cls, source: Path, root: Path) -> "Example":
        shutil.copytree(
            CHECKOUT / "feature_repo", root / "feature_repo", ignore=shutil.ignore_patterns("__pycache__")
        )
        (root / "data").mkdir()
        (root / "data" / "source").symlink_to(source)
        example = cls(root)
        migrate(example.project.locations.ledger_url)
        return example

    @property
    def project(self) -> Project:
        return load_project(self.root)

    @property
    def lake(self) -> Lake:
        return Lake(self.project.locations.lake)

    def ingest(self, *windows: Window) -> "Example":
        for window in windows:
            for dataset in DATASETS:
                snapshot = take_snapshot(
                    self.project, f"{dataset}__ingest", window.key, dataset=dataset, window=window
                )
                run = IngestRun(snapshot, UNNEEDED)
                for step in (run.extract, run.check_schema, run.transform, run.publish):
                    step()
        return self

    def table(self, dataset: str) -> pd.DataFrame:
        frame: pd.DataFrame = self.lake.dataset(dataset).to_table().to_pandas()
        spec = self.project.dataset(dataset)
        return frame.sort_values([spec.event_time, *spec.key], ignore_index=True)

    def training_set(self, as_of: str, model: str = "flight_delay") -> Any:
        from keepfit.backends.feature_store import FeatureStore
        from keepfit.steps.training_set import build_training_set

        project = self.project
        return build_training_set(
            project.model(model),
            project.datasets,
            FeatureStore(project),
            self.lake,
            as_of=pd.Timestamp(as_of, tz="UTC").to_pydatetime(),
            out=self.root / "training_set.parquet",
            scratch=self.root / "scratch",
        )


@pytest.fixture(autouse=True)
def _own_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "LAKE", "LEDGER_URL", "TRACKING_URI", "FEAST_REGISTRY", "FEAST_ONLINE"):
        monkeypatch.delenv(f"KEEPFIT_{variable}", raising=False)


def test_the_example_checks_clean() -> None:
    assert check_project(CHECKOUT) == ()


def test_the_source_is_all_of_the_package(source: Path) -> None:
    counted = duckdb.sql(
        f"SELECT count(*), count(DISTINCT flight_id), count(arr_delay) FROM '{source}/flights/*.parquet'"
    ).fetchone()
    # 54 flights of New Year's Eve are asked about in 2014.
    assert counted == (336_776 - 54, 336_776 - 54, 327_346 - 51)


def test_writing_the_source_again_leaves_it_alone(source: Path) -> None:
    from nyc_flights import write_source

    before = {path: path.stat().st_mtime_ns for path in source.rglob("*.parquet")}
    assert {path: path.stat().st_mtime_ns for path in write_source(source)} == before
    assert not list(source.rglob("*.part"))


def test_one_window_publishes_what_three_of_a_week_publish(source: Path, tmp_path: Path) -> None:
    weeks = [Window.parse(f"2013-01-{day:02d}", f"2013-01-{day + 7:02d}") for day in (1, 8, 15)]
    whole = Example.over(source, tmp_path / "whole").ingest(THREE_WEEKS)
    pieces = Example.over(source, tmp_path / "pieces").ingest(*weeks)
    backwards = Example.over(source, tmp_path / "backwards").ingest(weeks[0], weeks[1], weeks[2], weeks[1])
    for dataset in DATASETS:
        pd.testing.assert_frame_equal(whole.table(dataset), pieces.table(dataset), check_exact=True)
        pd.testing.assert_frame_equal(whole.table(dataset), backwards.table(dataset), check_exact=True)
    assert len(whole.table("carrier_delays")) > 15_000


def with_another_future(source: Path, target: Path, moment: pd.Timestamp) -> Path:
    """Copy the source, and change every value that becomes known after a moment."""
    random = np.random.default_rng(7)
    flights = pd.read_parquet(source / "flights/2013-01.parquet")
    for known, delay in (("departed_at", "dep_delay"), ("arrived_at", "arr_delay")):
        later = (flights[known] > moment).to_numpy()
        minutes = random.integers(1, 300, later.sum())
        flights.loc[later, known] += pd.to_timedelta(minutes, unit="m")
        flights.loc[later, delay] += minutes
    after = (flights["decision_time"] > moment).to_numpy()
    for column in ("dest", "carrier", "tailnum", "origin", "distance"):
        flights.loc[after, column] = random.permutation(flights.loc[after, column].to_numpy())
    flights = flights[~(after & (random.random(len(flights)) < 0.1))]
    weather = pd.read_parquet(source / "weather/2013-01.parquet")
    later = (weather["available_at"] > moment).to_numpy()
    for column in ("temp", "humid", "wind_speed", "precip", "pressure", "visib"):
        weather.loc[later, column] = random.permutation(weather.loc[later, column].to_numpy()) + 1
    for name, table in (("flights", flights), ("weather", weather)):
        (target / name).mkdir(parents=True)
        table.to_parquet(target / name / "2013-01.parquet")
    shutil.copytree(source / "planes", target / "planes")
    return target


@pytest.mark.parametrize("model", ["flight_delay", "arrival_delay"])
def test_no_feature_and_no_label_looks_into_the_future(source: Path, tmp_path: Path, model: str) -> None:
    moment = pd.Timestamp("2013-01-16 18:30", tz="UTC")
    other = with_another_future(source, tmp_path / "other_source", moment)
    true = Example.over(source, tmp_path / "true").ingest(THREE_WEEKS)
    changed = Example.over(other, tmp_path / "changed").ingest(THREE_WEEKS)
    built = true.training_set("2013-01-16 18:30", model)
    assert built.rows > 10_000
    assert changed.training_set("2013-01-16 18:30", model).digest == built.digest
    assert not built.empty_features
    # The change is there to be seen, as soon as one looks later.
    assert changed.training_set("2013-01-20", model).digest != true.training_set("2013-01-20", model).digest
    assert questions(changed, moment).equals(questions(true, moment))
    # Not even values that no flight has asked for yet.
    for dataset in ("weather", *COMPUTED):
        time = true.project.dataset(dataset).event_time
        seen, other_seen = true.table(dataset), changed.table(dataset)
        seen, other_seen = seen[seen[time] <= moment], other_seen[other_seen[time] <= moment]
        pd.testing.assert_frame_equal(seen, other_seen, check_exact=True)


def questions(example: Example, until: pd.Timestamp) -> pd.DataFrame:
    """Return the features of all flights asked about until a moment, labelled or not."""
    from keepfit.backends.feature_store import FeatureStore

    store = FeatureStore(example.project)
    flights = example.table("flights")
    asked = flights[flights["decision_time"] <= until].rename(columns={"decision_time": "event_timestamp"})
    needed = ["event_timestamp", "flight_id", *store.service("flight").needed_columns]
    return store.historical(asked[needed], "flight").sort_values("flight_id", ignore_index=True)


def test_features_are_what_they_say(source: Path, tmp_path: Path) -> None:
    """Recompute one flight's features by hand from the raw tables."""
    example = Example.over(source, tmp_path / "example").ingest(THREE_WEEKS)
    built = example.training_set("2013-01-22")
    rows = pd.read_parquet(built.path).set_index("flight_id")
    flights = pd.read_parquet(source / "flights/2013-01.parquet")
    flight = flights[flights["carrier"].eq("B6") & (flights["decision_time"] > "2013-01-10T20:00Z")].iloc[0]
    row, now = rows.loc[flight["flight_id"]], flight["decision_time"]
    same = flights[(flights["carrier"] == "B6") & (flights["origin"] == flight["origin"])]
    left = same[same["departed_at"] <= now]
    day = left[left["departed_at"] >= left["departed_at"].max() - pd.Timedelta("24h")]
    assert row["departures_24h"] == len(day)
    assert row["departure_delay_24h"] == pytest.approx(day["dep_delay"].mean())
    assert row["late_share_24h"] == pytest.approx((day["dep_delay"] > 15).mean())
    arrived = flights[(flights["tailnum"] == flight["tailnum"]) & (flights["arrived_at"] <= now)]
    assert row["last_arrival_delay"] == arrived.sort_values("arrived_at")["arr_delay"].iloc[-1]
    weather = pd.read_parquet(source / "weather/2013-01.parquet")
    seen = weather[(weather["origin"] == flight["origin"]) & (weather["available_at"] <= now)]
    assert row["temp"] == seen.sort_values("available_at")["temp"].iloc[-1]
    local = flight["scheduled_departure"].tz_convert("America/New_York")
    assert row["departure_hour"] == pytest.approx(local.hour + local.minute / 60)
    assert row["label"] == float(flight["arr_delay"] > 15)


def raw(source: Path, dataset: str, month: int) -> pd.DataFrame:
    """Read a month as extract would write it."""
    columns = list(load_project(CHECKOUT).dataset(dataset).columns)
    return pd.read_parquet(source / dataset / f"2013-{month:02d}.parquet")[columns]


def judged(rows: pd.DataFrame, dataset: str, tmp_path: Path) -> Any:
    file = tmp_path / "extracted.parquet"
    rows.to_parquet(file)
    suite = (CHECKOUT / f"feature_repo/expectations/{dataset}.yaml").read_text()
    return validate_rows(file, suite, bounds=EngineSpec(threads=1), scratch=tmp_path / "scratch")


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["flights", "weather"])
def test_the_year_passes_its_suite(source: Path, tmp_path: Path, dataset: str) -> None:
    for month in range(1, 13):
        report = judged(raw(source, dataset, month), dataset, tmp_path)
        assert report.worst != "critical", (month, report.failures)


def _minutes_as_seconds(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(arr_delay=rows["arr_delay"] * 60, dep_delay=rows["dep_delay"] * 60)


FAULTS: dict[str, dict[str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "flights": {
        "doubled": lambda rows: pd.concat([rows, rows]),
        "seconds": _minutes_as_seconds,
        "unknown airport": lambda rows: rows.assign(origin=rows["origin"].replace("LGA", "ACY")),
        "no carrier": lambda rows: rows.assign(carrier=rows["carrier"].where(rows.index % 50 != 0)),
        "nearly empty": lambda rows: rows.head(20),
        "asked too late": lambda rows: rows.assign(
            decision_time=rows["departed_at"].fillna(rows["decision_time"])
        ),
    },
    "weather": {
        "sentinel": lambda rows: rows.assign(temp=rows["temp"].where(rows.index % 50 != 0, -999.0)),
        "doubled": lambda rows: pd.concat([rows, rows]),
        "kilometres": lambda rows: rows.assign(visib=rows["visib"] * 1.609),
        "pascals": lambda rows: rows.assign(pressure=rows["pressure"] * 100),
        "no temperature": lambda rows: rows.assign(temp=rows["temp"].where(rows.index % 5 != 0)),
    },
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "fault"), [(name, fault) for name, faults in FAULTS.items() for fault in faults]
)
def test_a_real_fault_stops_the_window(source: Path, tmp_path: Path, dataset: str, fault: str) -> None:
    rows = raw(source, dataset, 5).head(5_000)
    assert judged(rows, dataset, tmp_path).worst != "critical"
    report = judged(FAULTS[dataset][fault](rows).reset_index(drop=True), dataset, tmp_path)
    assert report.worst == "critical"
    assert not report.passed


def test_a_missed_late_flight_costs_five_false_alarms() -> None:
    from flight_metrics import missed_late_cost

    late = np.array([1.0, 1.0, 0.0, 0.0])
    assert missed_late_cost(late, np.array([0.9, 0.9, 0.0, 0.0])) == 0
    assert missed_late_cost(late, np.array([0.1, 0.9, 0.0, 0.0])) == 5 / 4
    assert missed_late_cost(late, np.array([0.9, 0.9, 0.2, 0.0])) == 1 / 4


def test_plugins_are_cheap_to_import() -> None:
    # Airflow imports them in each of its processes.
    heavy = {"duckdb", "numpy", "pandas", "pyarrow", "feast"}
    code = f"import sys, nyc_flights, flight_metrics; print(sorted(set(sys.modules) & {heavy!r}))"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=CHECKOUT / "plugins", capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
