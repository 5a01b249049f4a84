"""A reader of the online store: what it answers is what Feast answers, and it says what it does not know."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import redis
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RequestSource
from feast.aggregation import Aggregation
from feast.data_format import ParquetFormat
from feast.on_demand_feature_view import OnDemandFeatureView, on_demand_feature_view
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Float64, Int64, String
from feast.value_type import ValueType
from tests.integration.stores.conftest import DRIVER, Repo, stats
from tests.integration.stores.test_guarded_stores import PAIR, TYPES, everything

from keepfit.backends.feature_store import OnlineReader
from keepfit.errors import FeatureStoreError, NotReadyError

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore:On demand feature view is:RuntimeWarning"
)


@contextmanager
def reader(
    repo: Repo, features: str | list[str], **changes: Any
) -> Iterator[tuple[OnlineReader, FeatureStore]]:
    """Lend a reader, and Feast's own store over the same data."""
    feast = FeatureStore(config=replace(repo, **changes).config)
    with OnlineReader(feast, features) as opened:
        yield opened, FeatureStore(config=replace(repo, guarded=False).config)


@pytest.mark.parametrize("guarded", [True, False])
def test_values_of_all_types_are_those_that_feast_reads(repo: Repo, guarded: bool) -> None:
    repo = replace(repo, fields=TYPES, entities=PAIR)
    store = repo.apply()
    rows = everything(300)
    repo.write(rows)
    repo.load(store)
    asked = rows.select(["driver_id", "city"]).to_pylist()
    asked += [asked[7], {"driver_id": 10**6, "city": "none"}, asked[3]]
    refs = [f"stats:{name}" for name in reversed(TYPES)]
    with reader(repo, refs, guarded=guarded) as (read, feast):
        answer = read.read(asked)
        there = feast.get_online_features(refs, asked).to_dict(include_event_timestamps=True)
        again = store.get_online_features(refs, asked).to_dict(include_event_timestamps=True)
    assert list(answer.values) == list(reversed(TYPES))
    # A number that is none equals itself as text only.
    assert {name: repr(values) for name, values in again.items()} == {
        name: repr(values) for name, values in there.items()
    }
    assert repr(answer.values) == repr({name: there[name] for name in answer.values})
    seconds = [int(at.timestamp()) if at else 0 for at in answer.event_times["stats"]]
    assert seconds == there["trips__ts"]
    assert [row for row, views in enumerate(answer.unknown) if views] == [301]
    assert answer.unknown[301] == {"stats"}


def test_an_unknown_entity_differs_from_one_whose_values_are_null(repo: Repo) -> None:
    store = repo.apply()
    repo.write(stats((1, "2024-01-01T10:00:00", None)))
    repo.load(store)
    with reader(repo, ["stats:trips", "stats:rating"]) as (read, _):
        answer = read.read([{"driver_id": 1}, {"driver_id": 2}, {"driver_id": None}])
        assert read.read([]).rows() == []
    assert answer.rows() == [{"trips": None, "rating": None}] * 3
    assert list(map(set, answer.unknown)) == [set(), {"stats"}, {"stats"}]
    assert answer.event_times == {"stats": [datetime(2024, 1, 1, 10, tzinfo=UTC), None, None]}
    assert len(answer) == 3


def test_a_row_without_a_key_and_a_key_of_another_type_are_refused(repo: Repo) -> None:
    repo.apply()
    with reader(repo, ["stats:trips"]) as (read, _):
        with pytest.raises(FeatureStoreError) as missing:
            read.read([{"driver_id": 1}, {"driver": 1}])
        with pytest.raises(FeatureStoreError) as wrong:
            read.read([{"driver_id": "one"}])
    assert str(missing.value) == (
        "A row lacks 'driver_id'. Did you mean 'driver'? It has: driver. Each row must bring: driver_id."
    )
    assert str(wrong.value).startswith(
        "'one' in the column 'driver_id' is no Int64, which the key 'driver_id' is declared as: "
    )


@pytest.mark.parametrize("repo", ["sqlite"], indirect=True)
def test_a_text_that_no_key_can_hold_is_refused(repo: Repo) -> None:
    entity = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.STRING)
    repo = replace(repo, entities=(entity,))
    repo.apply()
    with reader(repo, ["stats:trips"]) as (read, _), pytest.raises(FeatureStoreError) as raised:
        read.read([{"driver_id": "\ud800"}])
    assert str(raised.value).startswith(
        r"'\ud800' in the column 'driver_id' is no String, which the key 'driver_id' is declared as: "
    )


def test_many_threads_read_by_one_reader(repo: Repo) -> None:
    store = repo.apply()
    frame = pd.concat([stats((number, "2024-01-01", number)) for number in range(40)])
    repo.write(frame)
    repo.load(store)

    def read_one(number: int) -> Any:
        return read.read([{"driver_id": number % 40}, {"driver_id": 39 - number % 40}]).values["trips"]

    with reader(repo, ["stats:trips"]) as (read, _), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(read_one, range(400)))
    assert answers == [[number % 40, 39 - number % 40] for number in range(400)]


def test_an_online_store_that_is_away_is_said_to_be_away(repo: Repo) -> None:
    repo.apply()
    away = replace(repo, port=1)
    with reader(away, ["stats:trips"]) as (read, _):
        (repo.root / "online.db").unlink(missing_ok=True)
        with pytest.raises(NotReadyError) as raised:
            read.read([{"driver_id": 1}])
    assert str(raised.value).startswith("The online store does not answer for 'stats': ")
    assert str(raised.value).endswith("correct `online_store` in feature_store.yaml, and try again.")


@pytest.mark.parametrize("repo", ["redis"], indirect=True)
def test_a_redis_that_was_started_anew_is_given_the_script_again(repo: Repo) -> None:
    store = repo.apply()
    repo.write(stats((1, "2024-01-01", 3)))
    repo.load(store)
    with reader(repo, ["stats:trips"]) as (read, _), redis.Redis(port=repo.port) as client:
        for _ in range(2):
            client.script_flush()
            assert read.read([{"driver_id": 1}]).values == {"trips": [3]}


def routes(repo: Repo) -> list[Any]:
    """Make two views that share an entity, one of all rows, and on-demand views over them."""
    source = FileSource(
        name="others",
        path=str(repo.root / "others.parquet"),
        file_format=ParquetFormat(),
        timestamp_field="seen_at",
    )
    drivers = FeatureView(
        name="drivers",
        entities=[DRIVER],
        ttl=timedelta(hours=2),
        schema=[Field(name="age", dtype=Int64), Field(name="town", dtype=String)],
        source=source,
    )
    everyone = FeatureView(
        name="everyone",
        entities=[],
        ttl=timedelta(0),
        schema=[Field(name="mood", dtype=Float64)],
        source=source,
    )
    asked = RequestSource(name="asked", schema=[Field(name="hours", dtype=Float64)])

    @on_demand_feature_view(  # type: ignore[untyped-decorator]
        sources=[repo.view, asked],
        schema=[Field(name="per_hour", dtype=Float64), Field(name="whole_hours", dtype=Int64)],
        mode="pandas",
    )
    def pace(rows: pd.DataFrame) -> pd.DataFrame:
        whole = rows["hours"].astype("int64")
        return pd.DataFrame({"per_hour": rows["trips"] / rows["hours"], "whole_hours": whole})

    @on_demand_feature_view(  # type: ignore[untyped-decorator]
        sources=[drivers, asked], schema=[Field(name="label", dtype=String)], mode="python"
    )
    def label(rows: dict[str, Any]) -> dict[str, Any]:
        seen = "rating" in rows
        return {
            "label": [
                f"{town}-{hours}-{seen}" for town, hours in zip(rows["town"], rows["hours"], strict=True)
            ]
        }

    @on_demand_feature_view(  # type: ignore[untyped-decorator]
        sources=[drivers], schema=[Field(name="next_age", dtype=Int64)], mode="python", singleton=True
    )
    def older(row: dict[str, Any]) -> dict[str, Any]:
        return {"next_age": None if row["age"] is None else row["age"] + 1}

    return [drivers, everyone, pace, label, older]


def test_on_demand_views_are_applied_as_feast_applies_them(repo: Repo) -> None:
    store = repo.apply()
    drivers, everyone, pace, label, older = views = routes(repo)
    service = FeatureService(
        name="ride", features=[repo.view[["rating"]], pace, drivers[["town"]], label, everyone, older]
    )
    store.apply([*views, service])
    repo.write(stats((1, "2024-01-01", 6), (2, "2024-01-01", 5)))
    others = stats((1, "2024-01-02", 0), (3, "2024-01-02", 0))
    others.assign(age=[30, 40], town=["Ulm", "Bonn"], mood=0.5).to_parquet(repo.root / "others.parquet")
    store.materialize(datetime(2023, 1, 1), datetime(2025, 1, 1), ["stats", "drivers"])  # noqa: DTZ001
    nobody = EntityKey(join_keys=["__dummy_id"], entity_values=[Value(string_val="")])
    mood = (nobody, {"mood": Value(double_val=0.5)}, datetime(2024, 1, 1, tzinfo=UTC), None)
    store._get_provider().online_write_batch(store.config, store.get_feature_view("everyone"), [mood], None)
    rows = [
        {"driver_id": number, "hours": hours, "more": 1} for number, hours in ((1, 2.0), (2, 4.0), (3, 1.5))
    ]
    with reader(repo, "ride") as (read, feast):
        answer = read.read(rows)
        alone = [read.read([row]).rows()[0] for row in rows]
        expected = feast.get_online_features(feast.get_feature_service("ride"), rows).to_dict()
    assert read.needed_columns == ("driver_id", "hours")
    assert read.feature_names == (
        "rating", "per_hour", "whole_hours", "town", "label", "mood", "next_age",
    )  # fmt: skip
    # Of a view that takes one row, Feast gives the first only.
    assert expected.pop("next_age") == [31]
    assert answer.values["next_age"] == [31, None, 41]
    assert repr(answer.values) == repr({name: expected.get(name, [31, None, 41]) for name in answer.values})
    assert answer.rows() == alone
    assert answer.values["per_hour"][:2] == [3.0, 1.25]
    assert answer.values["label"] == ["Ulm-2.0-False", "None-4.0-False", "Bonn-1.5-False"]
    assert answer.values["mood"] == [0.5] * 3
    assert list(map(set, answer.unknown)) == [set(), {"drivers"}, {"stats"}]
    assert read.time_to_live == {"stats": None, "drivers": timedelta(hours=2), "everyone": None}


def test_an_on_demand_view_that_aggregates_is_refused(repo: Repo) -> None:
    store = repo.apply()
    total = OnDemandFeatureView(
        name="total",
        entities=[DRIVER],
        sources=[repo.view],
        schema=[Field(name="sum_trips", dtype=Int64)],
        mode="python",
        aggregations=[Aggregation(column="trips", function="sum")],
    )
    store.apply([total])
    with pytest.raises(
        FeatureStoreError, match="'total' aggregates: keepfit reads views that are computed when"
    ):
        OnlineReader(store, ["total:sum_trips"])


@pytest.mark.parametrize("repo", ["sqlite"], indirect=True)
def test_the_event_time_is_the_latest_of_the_features_wanted(repo: Repo) -> None:
    old = replace(repo, fields={"a_first": Int64, "trips": Int64})
    store = old.apply()
    rows = stats((1, "2024-01-02T10:00:00", 1))
    old.write(rows.assign(a_first=rows["trips"]))
    old.load(store)
    now = replace(repo, fields={"trips": Int64, "z_last": Int64})
    store = now.apply()
    rows = stats((1, "2024-06-02T10:00:00", 6))
    now.write(rows.assign(z_last=rows["trips"]))
    now.load(store)
    both = replace(repo, fields={"a_first": Int64, "trips": Int64, "z_last": Int64})
    store = both.apply()
    months = {"stats:a_first": 1, "stats:trips": 6, "stats:z_last": 6}
    for features in (["stats:trips"], ["stats:a_first"], [*months], [*months][::-1]):
        with OnlineReader(store, features) as reader:
            (moment,) = reader.read([{"driver_id": 1}]).event_times["stats"]
        assert moment is not None
        assert moment.month == max(months[feature] for feature in features)
        answer = store.get_online_features(features, [{"driver_id": 1}])
        told = {each.event_timestamps[0].seconds for each in answer.proto.results[1:]}
        assert told == {int(moment.timestamp())}
