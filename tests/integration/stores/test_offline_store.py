"""The ASOF offline store in plain Feast repositories, held against Feast's own duckdb store."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RequestSource
from feast.data_format import ParquetFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.repo_config import RepoConfig
from feast.types import Float64, Int64, String
from feast.value_type import ValueType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from keepfit.errors import FeatureStoreError

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore:On demand feature view:RuntimeWarning"
)

OURS = "keepfit.backends.feature_store.offline.LakeOfflineStore"
START = pd.Timestamp("2024-01-01", tz="UTC")
DRIVER = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
CITY = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)
REFS = ["trips:count", "trips:name", "weather:rain", "cost:price"]


@dataclass
class Offline:
    """One repository for both stores, over the same files."""

    root: Path
    ttl: timedelta = timedelta(hours=6)
    path: str = ""

    def store(self, kind: str = OURS) -> FeatureStore:
        config = RepoConfig(
            project="plain",
            provider="local",
            registry=str(self.root / f"{kind}.db"),
            offline_store={"type": kind},
            online_store={"type": "sqlite", "path": str(self.root / "online.db")},
            entity_key_serialization_version=3,
        )
        config.repo_path = self.root
        store = FeatureStore(config=config)
        store.apply([DRIVER, CITY, *self.views()])
        return store

    def source(self, name: str, **settings: Any) -> FileSource:
        return FileSource(
            name=name,
            path=self.path or str(self.root / f"{name}.parquet"),
            file_format=ParquetFormat(),
            timestamp_field="at",
            created_timestamp_column="made",
            **settings,
        )

    def views(self) -> list[Any]:
        trips = FeatureView(
            name="trips",
            entities=[DRIVER, CITY],
            ttl=self.ttl,
            schema=[Field(name="count", dtype=Int64), Field(name="name", dtype=String)],
            source=self.source("trips", field_mapping={"n": "count"}),
        )
        weather = FeatureView(
            name="weather",
            entities=[CITY],
            ttl=timedelta(0),
            schema=[Field(name="rain", dtype=Float64)],
            source=self.source("weather"),
        )
        order = RequestSource(name="order", schema=[Field(name="amount", dtype=Float64)])

        @on_demand_feature_view(sources=[trips, order], schema=[Field(name="price", dtype=Float64)])  # type: ignore[untyped-decorator]
        def cost(inputs: pd.DataFrame) -> pd.DataFrame:
            return pd.DataFrame({"price": inputs["amount"] * inputs["count"].fillna(0)})

        return [trips, weather, cost]


rows_ = st.lists(
    st.tuples(
        st.integers(0, 2),  # driver
        st.sampled_from(["Ulm", "Bonn", None]),
        st.integers(0, 12),  # hour of the event
        st.integers(0, 30),  # hours until it was written
        st.one_of(st.none(), st.integers(-5, 5)),
    ),
    min_size=1,
    max_size=40,
)


def table(rows: list[tuple[Any, ...]]) -> pa.Table:
    """Make values whose moments of creation all differ, since Feast leaves open which of equals it takes."""
    at = [(START + pd.Timedelta(hours=hour)).to_pydatetime() for _, _, hour, _, _ in rows]
    made = [
        (START + pd.Timedelta(hours=hour + late, seconds=number)).to_pydatetime()
        for number, (_, _, hour, late, _) in enumerate(rows)
    ]
    values = [value for *_, value in rows]
    return pa.table(
        {
            "driver_id": pa.array([row[0] for row in rows], pa.int64()),
            "city": pa.array([row[1] for row in rows], pa.string()),
            "at": pa.array(at, pa.timestamp("us", "UTC")),
            "made": pa.array(made, pa.timestamp("us", "UTC")),
            "n": pa.array(values, pa.int64()),
            "name": pa.array([None if value is None else f"v{value}" for value in values], pa.string()),
            "rain": pa.array([None if value is None else value / 4 for value in values], pa.float64()),
        }
    )


def asking(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["driver_id", "city", "hour", "late", "amount"])
    moments = START + pd.to_timedelta(frame["hour"] + frame["late"] % 7, unit="h")
    return pd.DataFrame(
        {
            "driver_id": frame["driver_id"],
            "city": frame["city"],
            "event_timestamp": moments,
            "amount": frame["amount"].astype(float).fillna(1.0),
            "row": range(len(frame)),
        }
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Offline, FeatureStore, FeatureStore]:
    offline = Offline(tmp_path_factory.mktemp("offline"))
    for name in ("trips", "weather"):
        pq.write_table(table([(0, "Ulm", 0, 0, 1)]), offline.root / f"{name}.parquet")
    return offline, offline.store(), offline.store("duckdb")


@pytest.mark.slow
@given(trips=rows_, weather=rows_, rows=rows_, cut=st.booleans())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_value_is_that_of_feasts_own_store_and_rows_keep_their_order(
    both: tuple[Offline, FeatureStore, FeatureStore],
    trips: list[Any],
    weather: list[Any],
    rows: list[Any],
    cut: bool,
) -> None:
    offline, ours, theirs = both
    pq.write_table(table(trips), offline.root / "trips.parquet")
    pq.write_table(table(weather), offline.root / "weather.parquet")
    frame = asking(rows)
    found, expected = (
        store.get_historical_features(
            frame.copy(), REFS, filter_by_created_timestamp=cut
        ).to_df()
        for store in (ours, theirs)
    )  # fmt: skip
    expected = expected.sort_values("row", ignore_index=True)
    assert found["row"].tolist() == list(range(len(frame)))
    for column in ("count", "rain", "price"):
        np.testing.assert_array_equal(
            found[column].to_numpy(float, na_value=np.nan), expected[column].to_numpy(float, na_value=np.nan)
        )
    assert found["name"].fillna("-").tolist() == expected["name"].fillna("-").tolist()


def latest(store: FeatureStore, last: int) -> Any:
    """Ask for the newest rows of the trips up to an hour, by driver."""
    return store._get_provider().offline_store.pull_latest_from_table_or_query(
        config=store.config,
        data_source=store.get_feature_view("trips").batch_source,
        join_key_columns=["driver_id"],
        feature_name_columns=["n", "name"],
        timestamp_field="at",
        created_timestamp_column="made",
        start_date=START.to_pydatetime(),
        end_date=(START + pd.Timedelta(hours=last)).to_pydatetime(),
    )


@given(trips=rows_, last=st.integers(-1, 12))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_newest_rows_are_those_of_feasts_own_store(
    both: tuple[Offline, FeatureStore, FeatureStore], trips: list[Any], last: int
) -> None:
    offline, ours, theirs = both
    pq.write_table(table(trips), offline.root / "trips.parquet")
    found, expected = (
        latest(store, last).to_arrow().sort_by("driver_id").to_pylist() for store in (ours, theirs)
    )
    assert found == expected


def test_the_newest_rows_are_read_a_batch_at_a_time(
    both: tuple[Offline, FeatureStore, FeatureStore],
) -> None:
    offline, ours, _ = both
    pq.write_table(
        table([(driver, "Ulm", 1, 0, 7) for driver in range(20_000)]), offline.root / "trips.parquet"
    )
    sizes = [len(batch) for batch in latest(ours, 2).batches(5_000)]
    assert sum(sizes) == 20_000
    assert max(sizes) < 7_500


def test_of_tied_rows_the_one_created_last_counts(both: tuple[Offline, FeatureStore, FeatureStore]) -> None:
    offline, ours, _ = both
    tied = [(1, "Ulm", 0, late, late) for late in (3, 5, 4)]
    for rows in (tied, tied[::-1], [(0, "Ulm", 0, 0, 1)]):
        pq.write_table(table(rows), offline.root / "trips.parquet")
        found = ours.get_historical_features(asking([(1, "Ulm", 2, 0, 1)]), ["trips:count"]).to_df()
        assert found["count"].fillna(0).tolist() == [5 if len(rows) == 3 else 0]


def test_a_null_in_one_of_several_keys_finds_nothing(
    both: tuple[Offline, FeatureStore, FeatureStore],
) -> None:
    offline, ours, _ = both
    pq.write_table(table([(1, None, 0, 0, 7), (0, "Ulm", 0, 0, 1)]), offline.root / "trips.parquet")
    found = ours.get_historical_features(asking([(1, None, 2, 0, 1)]), ["trips:count"]).to_df()
    assert found["count"].isna().all()


def test_a_column_that_a_source_lacks_is_named_with_the_source(
    both: tuple[Offline, FeatureStore, FeatureStore],
) -> None:
    offline, ours, _ = both
    lacking = table([(1, "Ulm", 0, 0, 7)]).rename_columns(
        ["driver_id", "city", "at", "made", "number", "names", "rain"]
    )
    pq.write_table(lacking, offline.root / "trips.parquet")
    with pytest.raises(FeatureStoreError) as raised:
        ours.get_historical_features(asking([(1, "Ulm", 2, 0, 1)]), ["trips:name"])
    assert str(raised.value) == (
        "The view 'trips' needs the column 'name', which its source 'trips' does not have. "
        "Did you mean 'names'? It has: driver_id, city, at, made, number, names, rain. "
        "Correct the view, or the files of the source."
    )


def test_a_column_that_a_source_lacks_is_named_when_it_is_materialised_too(
    both: tuple[Offline, FeatureStore, FeatureStore],
) -> None:
    offline, ours, _ = both
    lacking = table([(1, "Ulm", 0, 0, 7)]).drop_columns("name")
    pq.write_table(lacking, offline.root / "trips.parquet")
    with pytest.raises(FeatureStoreError) as raised:
        latest(ours, 2)
    assert str(raised.value) == (
        "A view needs the column 'name', which its source 'trips' does not have. "
        "It has: driver_id, city, at, made, n, rain. Correct the view, or the files of the source."
    )


def test_rows_may_be_a_query(both: tuple[Offline, FeatureStore, FeatureStore]) -> None:
    offline, ours, _ = both
    pq.write_table(table([(1, "Ulm", 0, 0, 7)]), offline.root / "trips.parquet")
    asking([(1, "Ulm", 2, 0, 1), (1, "Bonn", 2, 0, 1)]).to_parquet(offline.root / "rows.parquet")
    query = f"SELECT * FROM read_parquet('{offline.root}/rows.parquet') ORDER BY row DESC"
    found = ours.get_historical_features(query, ["trips:count"]).to_df()
    assert found["row"].tolist() == [1, 0]
    assert found["count"].fillna(-1).tolist() == [-1, 7]
    with pytest.raises(FeatureStoreError, match=r"The query for the rows fails: .*It is run by DuckDB"):
        ours.get_historical_features("SELECT nothing", ["trips:count"])


@pytest.mark.parametrize("path", ["parts", "parts/*/*.parquet"])
def test_a_directory_and_a_glob_are_one_table(tmp_path: Path, path: str) -> None:
    for month in (1, 2):
        (tmp_path / f"parts/{month}").mkdir(parents=True)
        pq.write_table(table([(month, "Ulm", 0, 0, month)]), tmp_path / f"parts/{month}/a.parquet")
    store = Offline(tmp_path, path=path).store()
    rows = asking([(2, "Ulm", 1, 0, 1), (1, "Ulm", 1, 0, 1), (3, "Ulm", 1, 0, 1)])
    found = store.get_historical_features(rows, ["trips:count"]).to_df()
    assert found["count"].fillna(-1).tolist() == [2, 1, -1]
    store.materialize(datetime(2024, 1, 1), datetime(2024, 1, 2), feature_views=["trips"])  # noqa: DTZ001
    answer = store.get_online_features(["trips:count"], [{"driver_id": 2, "city": "Ulm"}]).to_dict()
    assert answer["count"] == [2]


def test_a_path_without_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    store = Offline(tmp_path, path="parts").store()
    with pytest.raises(FeatureStoreError, match=r"'trips' has no Parquet files at parts\. Put them there"):
        store.get_historical_features(asking([(2, "Ulm", 1, 0, 1)]), ["trips:count"])


def test_declared_types_hold_offline_as_online(tmp_path: Path) -> None:
    offline = Offline(tmp_path)
    half = table([(1, "Ulm", 0, 0, 1)])
    half = half.set_column(half.column_names.index("n"), "n", pa.array([1.5]))
    pq.write_table(half, tmp_path / "trips.parquet")
    pq.write_table(half, tmp_path / "weather.parquet")
    store = offline.store()
    with pytest.raises(FeatureStoreError, match="'count' is declared as Int64, and its column of double"):
        store.get_historical_features(asking([(1, "Ulm", 1, 0, 1)]), ["trips:count"]).to_df()
    pq.write_table(
        half.set_column(half.column_names.index("n"), "n", pa.array([2.0])), tmp_path / "trips.parquet"
    )
    found = store.get_historical_features(asking([(1, "Ulm", 1, 0, 1)]), ["trips:count"]).to_arrow()
    assert found["count"].type == pa.int64()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("ACCESS_KEY_ID", "test"),
        ("SECRET_ACCESS_KEY", "test"),
        ("DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    s3 = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    s3.create_bucket(Bucket="shop")
    sink = pa.BufferOutputStream()
    pq.write_table(table([(1, "Ulm", 0, 0, 7), (1, "Ulm", 3, 0, 8)]), sink)
    s3.put_object(Bucket="shop", Key="trips/2024/a.parquet", Body=sink.getvalue().to_pybytes())
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.parametrize("path", ["s3://shop/trips/*/*.parquet", "s3://shop/trips"])
def test_a_source_on_s3_is_joined_and_materialised(bucket: str, tmp_path: Path, path: str) -> None:
    offline = Offline(tmp_path, path=path)
    original = offline.source
    offline.source = lambda name, **kw: original(name, s3_endpoint_override=bucket, **kw)  # type: ignore[method-assign]
    store = offline.store()
    found = store.get_historical_features(asking([(1, "Ulm", 1, 0, 1), (1, "Ulm", 5, 0, 1)]), ["trips:count"])
    assert found.to_df()["count"].tolist() == [7, 8]
    store.materialize(datetime(2024, 1, 1), datetime(2024, 1, 2), feature_views=["trips"])  # noqa: DTZ001
    answer = store.get_online_features(["trips:count"], [{"driver_id": 1, "city": "Ulm"}]).to_dict()
    assert answer["count"] == [8]
