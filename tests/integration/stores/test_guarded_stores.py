"""Guarded online stores, in Feast repositories that know nothing of keepfit's lake."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import redis
from feast import Entity, FeatureStore
from feast.repo_config import RepoConfig
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp
from feast.value_type import ValueType
from pydantic import ValidationError
from tests.integration.stores.conftest import Repo, stats

from keepfit.errors import FeatureStoreError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

TYPES = {
    "flag": Bool,
    "raw": Bytes,
    "small": Float32,
    "rating": Float64,
    "count": Int32,
    "trips": Int64,
    "name": String,
    "paid_at": UnixTimestamp,
    "path": Array(Float64),
}
PAIR = (
    Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64),
    Entity(name="city", join_keys=["city"], value_type=ValueType.STRING),
)


def everything(rows: int) -> pa.Table:
    """Make rows of all types, with what is hard to encode: nulls, no number, edges, empty and long texts."""
    random = np.random.default_rng(rows)
    wide = [0, 1, -1, 127, 128, 2**31 - 1, -(2**31), 300]

    def some(values: list[Any], kind: pa.DataType) -> pa.Array:
        return pa.array(
            [None if random.random() < 0.2 else values[i % len(values)] for i in range(rows)], kind
        )

    moments = pd.Timestamp("2024-03-31", tz="UTC") + pd.to_timedelta(random.integers(0, 10**10, rows), "us")
    return pa.table(
        {
            "driver_id": pa.array(random.permutation(rows) - rows // 2, pa.int64()),
            "city": some(["Ulm", "", "Köln" * 50], pa.string()).fill_null("none"),
            "seen_at": pa.array(moments, pa.timestamp("us", "UTC")),
            "flag": some([True, False], pa.bool_()),
            "raw": some([b"", b"\0\xff"], pa.binary()),
            "small": some([0.1, float("nan"), -0.0], pa.float32()),
            "rating": some([0.1, float("nan"), 1e300, 2.0], pa.float64()),
            "count": some(wide, pa.int32()),
            "trips": some(wide, pa.int64()),
            "name": some(["", "Åsa", "x" * 200], pa.string()),
            "paid_at": some([datetime(2024, 1, 1, tzinfo=UTC), datetime(1999, 1, 1, tzinfo=UTC)],
                            pa.timestamp("us", "UTC")),
            "path": some([[1.0], [0.5, 2.0]], pa.list_(pa.float64())),
        }
    )  # fmt: skip


@pytest.mark.parametrize("engine", [True, False])
def test_what_is_stored_is_what_feasts_own_store_would_hold(repo: Repo, engine: bool) -> None:
    # Feast's own way makes floats of integers with gaps, and then refuses them or loses digits.
    full = everything(300)
    for name in ("trips", "count", "flag", "paid_at"):
        first = full[name].drop_null()[0]
        full = full.set_column(full.column_names.index(name), name, full[name].fill_null(first))
    found = []
    for each in (replace(repo, engine=engine), replace(repo, guarded=False, engine=False)):
        each = replace(each, root=repo.root / str(each.guarded), fields=TYPES, entities=PAIR)  # noqa: PLW2901
        store = each.apply()
        each.write(full)
        each.load(store)
        found.append(each.stored())
        if repo.kind == "redis":
            redis.Redis(port=repo.port).flushall()
    assert len(found[0]) == (300 if repo.kind == "redis" else 300 * len(TYPES))
    assert found[0] == found[1]


def test_nulls_and_great_integers_are_kept(repo: Repo) -> None:
    store = repo.apply()
    repo.write(stats((1, "2024-01-01", 2**53 + 1), (2, "2024-01-01", None), (3, "2024-01-01", -(2**63))))
    repo.load(store)
    assert repo.served(store, 1, 2, 3, 4) == [2**53 + 1, None, -(2**63), None]
    assert repo.served(store, 2, feature="rating") == [None]


def test_an_older_backfill_does_not_overwrite_newer_values(repo: Repo) -> None:
    store = repo.apply()
    repo.write(stats((1, "2024-01-01", 1), (1, "2024-01-02", 2), (2, "2024-01-01", 9)))
    repo.load(store, start=datetime(2024, 1, 2))  # noqa: DTZ001
    repo.load(store, end=datetime(2024, 1, 1, 12))  # noqa: DTZ001
    assert repo.served(store, 1, 2) == [2, 9]


def test_moments_are_compared_to_the_microsecond_and_before_1970_too(repo: Repo) -> None:
    store = repo.apply()
    pairs = (
        ("2024-01-01T00:00:00.000002", "2024-01-01T00:00:00.000001"),
        ("1969-12-31T23:59:59.5", "1969-12-31T23:59:59.4"),
        ("1970-01-01", "1969-12-31"),
        ("1960-01-01", "1959-01-01"),
    )
    for driver, moments in enumerate(pairs):
        for trips, moment in zip((2, 1), moments, strict=True):
            repo.write(stats((driver, moment, trips)))
            repo.load(store, start=datetime(1900, 1, 1))  # noqa: DTZ001
        assert repo.served(store, driver) == [2], moments


def test_a_correction_arrives(repo: Repo) -> None:
    store = repo.apply()
    for trips in (1, 2):
        repo.write(stats((1, "2024-01-01", trips)))
        repo.load(store)
    assert repo.served(store, 1) == [2]


@pytest.mark.parametrize("repo", ["sqlite"], indirect=True)
def test_the_keys_are_indexed_once_however_often_features_are_applied(repo: Repo) -> None:
    store = repo.apply()
    repo.write(stats((1, "2024-01-01", 1)))
    repo.load(store)
    repo.apply()
    with closing(sqlite3.connect(repo.root / "online.db")) as connection:
        found = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'plain_stats_ek'").fetchall()
        plan = connection.execute("EXPLAIN QUERY PLAN SELECT * FROM plain_stats WHERE entity_key IN (x'00')")
        assert "USING INDEX sqlite_autoindex_plain_stats_1 (entity_key=?)" in str(plan.fetchall())
    assert [text.partition("WHERE")[2] for (text,) in found] == [" feature_name IS NULL"]


@pytest.mark.parametrize("created", ["", "2024-02-02"])
def test_a_view_is_replaced_while_it_is_served(repo: Repo, created: str) -> None:
    repo = replace(repo, created=bool(created))
    store = repo.apply()
    other = replace(repo, project="complain")
    repo.write(stats((1, "2024-01-02", 2), (2, "2024-01-01", 5), (3, "2024-01-01", 6), created=created))
    repo.load(store)
    neighbour = other.apply()
    other.load(neighbour)
    online = store._get_provider().online_store
    online.loosen(store.config, store.get_feature_view("stats"))
    assert repo.served(store, 1, 2, 3) == [2, 5, 6]
    repo.write(stats((1, "2024-01-01", 1), (2, "2024-01-01", 7), created=created))
    repo.load(store)
    online.sweep(store.config, store.get_feature_view("stats"))
    assert repo.served(store, 1, 2, 3) == [1, 7, None]
    assert other.served(neighbour, 1, 2, 3) == [2, 5, 6]
    assert len(repo.stored()) in {2 * len(repo.fields), 2 + 3}
    repo.write(stats((1, "2023-01-01", 9), created=created))
    repo.load(store)
    assert repo.served(store, 1) == [1]


def test_of_the_same_event_what_was_created_last_counts(repo: Repo) -> None:
    repo = replace(repo, created=True)
    store = repo.apply()
    for trips, created in ((2, "2024-02-02"), (1, "2024-02-01")):
        repo.write(stats((1, "2024-01-01", trips), created=created))
        repo.load(store)
    assert repo.served(store, 1) == [2]
    repo.write(stats((1, "2024-01-01", 3), created="2024-02-02T00:00:00.000001"))
    repo.load(store)
    assert repo.served(store, 1) == [3]
    repo.write(stats((1, "2024-01-02", 4), created="2023-01-01"))
    repo.load(store)
    assert repo.served(store, 1) == [4]


def test_a_new_feature_arrives_at_an_unchanged_event(repo: Repo) -> None:
    small = replace(repo, fields={"trips": Int64})
    store = small.apply()
    repo.write(stats((1, "2024-01-01", 10)))
    small.load(store)
    store = repo.apply()
    assert repo.served(store, 1, feature="rating") == [None]
    repo.load(store)
    assert repo.served(store, 1, feature="rating") == [1.0]


def test_a_push_is_guarded_too(repo: Repo) -> None:
    store = repo.apply()
    for frame in (stats((1, "2024-01-02", 2)), stats((1, "2024-01-01", 1), (2, "2024-01-01", 7))):
        store.write_to_online_store("stats", frame.astype({"trips": "int64"}))
    assert repo.served(store, 1, 2) == [2, 7]
    repo.write(stats((1, "2024-01-01T12:00", 3)))
    repo.load(store)
    assert repo.served(store, 1) == [2]


@pytest.mark.parametrize("repo", ["redis"], indirect=True)
def test_an_asynchronous_push_is_guarded_too(repo: Repo) -> None:
    store = repo.apply()

    async def push() -> None:
        for frame in (stats((1, "2024-01-02", 2)), stats((1, "2024-01-01", 1))):
            await store.write_to_online_store_async("stats", frame.astype({"trips": "int64"}))
        await store._get_provider().online_store._client_async.aclose()

    asyncio.run(push())
    assert repo.served(store, 1) == [2]


def test_a_store_that_feast_filled_is_taken_over(repo: Repo) -> None:
    plain = replace(repo, guarded=False, engine=False)
    store = plain.apply()
    repo.write(stats((1, "2024-01-02", 2), (2, "2024-01-02", 2)))
    plain.load(store)
    guarded = repo.apply()
    repo.write(stats((1, "2024-01-01", 1), (2, "2024-01-03", 3)))
    repo.load(guarded)
    assert repo.served(guarded, 1, 2) == [2, 3]


@pytest.mark.parametrize("repo", ["sqlite"], indirect=True)
def test_a_store_that_feast_filled_beside_pandas_is_taken_over_too(repo: Repo) -> None:
    plain = replace(repo, guarded=False, engine=False)
    store = plain.apply()
    late = (3, "2024-01-02T00:00:00.999700", 2)
    repo.write(stats((1, "2024-01-02", 2), (2, "2024-01-02", 2), late))
    write_with_pandas()
    plain.load(store)
    assert {moment for _, _, moment, _ in repo.stored().values()} == {
        "2024-01-02 00:00:00",
        "2024-01-02 00:00:00.999700",
    }
    guarded = repo.apply()
    newer = (3, "2024-01-02T00:00:00.999900", 3)
    repo.write(stats((1, "2024-01-01T23:59:59", 1), (2, "2024-01-02T00:00:01", 3), newer))
    repo.load(guarded)
    assert repo.served(guarded, 1, 2, 3) == [2, 3, 3]


def test_rows_without_a_key_are_left_out(repo: Repo) -> None:
    store = repo.apply()
    rows = stats((1, "2024-01-01", 1), (2, "2024-01-01", 2)).astype({"driver_id": "Int64"})
    rows.loc[1, "driver_id"] = pd.NA
    repo.write(rows)
    repo.load(store)
    assert repo.served(store, 1, 2) == [1, None]


def test_a_value_that_its_declared_type_would_change_is_refused(repo: Repo) -> None:
    store = repo.apply()
    repo.write(stats((1, "2024-01-01", 1)).assign(trips=1.7))
    with pytest.raises(
        FeatureStoreError,
        match=r"'trips' is declared as Int64, and its column of double holds values that do not fit: "
        r"Float value 1.700000 was truncated",
    ):
        repo.load(store)


@pytest.mark.parametrize("repo", ["sqlite"], indirect=True)
def test_a_table_that_was_never_applied_is_named(repo: Repo) -> None:
    repo.apply()
    repo.write(stats((1, "2024-01-01", 1)))
    (repo.root / "online.db").unlink()
    with pytest.raises(FeatureStoreError, match=r"no table 'plain_stats'. Run `feast apply` first"):
        repo.load(FeatureStore(config=repo.config))


@pytest.mark.parametrize(
    ("kind", "setting", "message"),
    [
        ("redis", {"skip_dedup": True}, "`skip_dedup` writes without looking"),
        ("redis", {"redis_type": "redis_cluster"}, "which a Redis cluster refuses"),
        ("sqlite", {"vector_enabled": True}, "the guarded store keeps no vectors"),
    ],
)
def test_settings_that_undo_the_guard_are_refused(
    tmp_path: Path, kind: Any, setting: dict[str, Any], message: str
) -> None:
    raw = Repo(tmp_path, kind, 0).config.model_dump(by_alias=True, exclude_none=True)
    with pytest.raises(ValidationError, match=message):
        _ = RepoConfig(
            project="plain",
            provider="local",
            registry=str(tmp_path / "registry.db"),
            online_store=raw["online_store"] | setting,
            entity_key_serialization_version=3,
        ).online_store  # Feast reads it when first asked


@pytest.mark.parametrize("repo", ["sqlite"], indirect=True)
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_event_times_are_right_in_any_zone_of_the_process(
    repo: Repo, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        store = repo.apply()
        repo.write(stats((1, "2024-07-01T12:00", 1), (2, "2024-01-01T12:00", 1)))
        repo.load(store)
        answer = store.get_online_features(["stats:trips"], [{"driver_id": 1}, {"driver_id": 2}])
        moments = [each.ToDatetime() for each in answer.proto.results[1].event_timestamps]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert moments == [datetime(2024, 7, 1, 12), datetime(2024, 1, 1, 12)]  # noqa: DTZ001


WORKER = """
import sys
from datetime import datetime
from pathlib import Path
from feast import FeatureStore
from tests.integration.stores.conftest import Repo
repo = Repo(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
config = repo.config
config.materialization_config.online_write_batch_size = 200
store = FeatureStore(config=config)
print("ready", flush=True)
sys.stdin.readline()
repo.load(store, datetime.fromisoformat(sys.argv[4]), datetime.fromisoformat(sys.argv[5]))
print("done", flush=True)
"""


def worker(repo: Repo, start: str, end: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WORKER, str(repo.root), repo.kind, str(repo.port), start, end]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def many(rows: int) -> pd.DataFrame:
    """Make two days of so many drivers; only the second day's trips are their number."""
    days = [(driver, f"2024-01-0{day}", driver * (day == 2)) for day in (1, 2) for driver in range(rows)]
    return stats(*days)


@pytest.mark.slow
def test_concurrent_materialisations_lose_nothing(repo: Repo) -> None:
    store = repo.apply()
    repo.write(many(5000))
    days = [("2024-01-01", "2024-01-01T12:00"), ("2024-01-02", "2024-01-02T12:00")]
    processes = [worker(repo, *day) for day in days]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        go(process)
    assert [process.communicate(timeout=300)[0][-5:] for process in processes] == ["done\n", "done\n"]
    drivers = list(range(0, 5000, 7))
    assert repo.served(store, *drivers) == drivers


@pytest.mark.slow
def test_a_killed_materialisation_serves_on_and_is_finished_by_the_next(repo: Repo) -> None:
    store = repo.apply()
    repo.write(many(20_000))
    repo.load(store, end=datetime(2024, 1, 1, 12))  # noqa: DTZ001
    process = worker(repo, "2024-01-02", "2024-01-03")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    go(process)
    drivers = list(range(20_000))
    deadline = time.monotonic() + 300
    while not any(repo.served(store, *drivers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    half = repo.served(store, *drivers)
    assert any(half)
    assert all(trips in {0, driver} for driver, trips in zip(drivers, half, strict=True))
    repo.load(store, start=datetime(2024, 1, 2))  # noqa: DTZ001
    assert repo.served(store, *drivers) == drivers


def test_what_pandas_does_to_sqlite_leaves_the_store_readable(repo: Repo) -> None:
    store = repo.apply()
    repo.write(stats((1, "2024-01-01", 7)))
    repo.load(store)
    write_with_pandas()
    assert repo.served(store, 1) == [7]


def write_with_pandas() -> None:
    """Let pandas tell SQLite to keep times as texts."""
    with closing(sqlite3.connect(":memory:")) as other:
        pd.DataFrame({"at": [pd.Timestamp("2024-01-01")]}).to_sql("others", other, index=False)
