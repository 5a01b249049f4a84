"""What an online read of twenty features costs: Feast's, keepfit's reader, and the bare client."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from sqlite3 import connect
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from redis_server import cpu_of, server

ONLINE = "keepfit.backends.feature_store.online"
GUARDED = {
    "sqlite": f"{ONLINE}.sqlite.GuardedSqliteOnlineStore",
    "redis": f"{ONLINE}.redis.GuardedRedisOnlineStore",
}
VIEWS = ("first", "second")
"""Ten features each: eight floats, an integer and a text."""
NUMBERS = range(8)
ENTITIES = 10_000
ASKED = (1, 10, 100)
CALLS = 300

Read = Callable[[list[dict[str, int]]], Any]


def main() -> None:
    """Read by each way in turns, in this process; the argument is how often."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else CALLS
    with TemporaryDirectory(prefix="keepfit-benchmark-") as folder, server(Path(folder)) as (port, pid):
        root = Path(folder)
        write(root)
        print("| store | rows | way | median ms | CPU ms | server's CPU ms | CPU of Feast's / its CPU |")
        print("|---|---|---|---|---|---|---|")
        for store in GUARDED:
            ways = dict(ways_of(root, store, port))
            for rows in ASKED:
                costs = measured(ways, rows, calls, pid if store == "redis" else None)
                for way, (wall, cpu, there) in costs.items():
                    ratio = costs["Feast's store"][1] / cpu
                    told = f"{wall:.3f} | {cpu:.3f} | {there:.3f} | {ratio:.1f}"
                    print(f"| {store} | {rows} | {way} | {told} |", flush=True)


def measured(
    ways: dict[str, Read], rows: int, calls: int, pid: int | None
) -> dict[str, tuple[float, float, float]]:
    """Return each way's median wall, and mean CPU here and at the server, in milliseconds a call."""
    random = np.random.default_rng(rows)
    questions = [[{"key": int(key)} for key in random.integers(0, ENTITIES, rows)] for _ in range(calls)]
    costs = {}
    for way, read in ways.items():
        for question in questions[: calls // 10]:
            read(question)
        walls: list[float] = []
        there, cpu = cpu_of(pid) if pid else 0.0, time.process_time()
        for question in questions:
            began = time.perf_counter()
            read(question)
            walls.append(time.perf_counter() - began)
        cpu, there = time.process_time() - cpu, (cpu_of(pid) - there) if pid else 0.0
        costs[way] = (statistics.median(walls) * 1000, cpu / calls * 1000, there / calls * 1000)
    return costs


def ways_of(root: Path, store: str, port: int) -> Iterator[tuple[str, Read]]:
    """Fill a store and return the ways to read it, which must agree."""
    from feast import FeatureStore

    from keepfit.backends.feature_store import OnlineReader

    where = (
        {"path": str(root / "online.db")} if store == "sqlite" else {"connection_string": f"127.0.0.1:{port}"}
    )
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        guarded = FeatureStore(config=config_of(root, GUARDED[store], where))
        plain = FeatureStore(config=config_of(root, store, where))
        guarded.apply(definitions(root))
        guarded.materialize(datetime(2023, 1, 1), datetime(2025, 1, 1))  # noqa: DTZ001 - Feast takes it as UTC
    refs = [f"{view}:{field.name}" for view in VIEWS for field in guarded.get_feature_view(view).features]
    reader = OnlineReader(guarded, refs)
    question = [{"key": 3}, {"key": 5}]
    expected = plain.get_online_features(refs, question).to_dict()
    if reader.read(question).values != {name: expected[name] for name in reader.feature_names}:
        raise RuntimeError("The ways do not read the same values.")
    yield "Feast's store", lambda rows: plain.get_online_features(refs, rows).to_dict()
    yield "keepfit's store, Feast's read", lambda rows: guarded.get_online_features(refs, rows).to_dict()
    yield "keepfit's reader", reader.read
    if store == "sqlite":
        yield "bare SQL, undecoded", bare_sql(root / "online.db")
    else:
        yield "bare HMGET, undecoded", bare_hmget(guarded, port)


def bare_sql(file: Path) -> Read:
    """Read the stored bytes with one statement a view."""
    connection = connect(file)

    def read(rows: list[dict[str, int]]) -> Any:
        keys = [key_of(row["key"]) for row in rows]
        marks = ",".join("?" * len(keys))
        return [
            connection.execute(
                f"SELECT entity_key, feature_name, value FROM bench_{view} WHERE entity_key IN ({marks})",
                keys,
            ).fetchall()
            for view in VIEWS
        ]

    return read


def bare_hmget(feast: Any, port: int) -> Read:
    """Read the stored bytes with one command an entity, all in one trip."""
    import redis
    from feast.infra.online_stores.helpers import _mmh3

    client = redis.Redis(port=port)
    views = [feast.get_feature_view(view) for view in VIEWS]
    fields = [_mmh3(f"{view.name}:{field.name}") for view in views for field in view.features]

    def read(rows: list[dict[str, int]]) -> Any:
        with client.pipeline(transaction=False) as pipe:
            for row in rows:
                pipe.hmget(key_of(row["key"]) + b"bench", fields)
            return pipe.execute()

    return read


def key_of(number: int) -> bytes:
    """Serialise a key as Feast does."""
    from struct import pack

    return pack("<III", 1, 2, 3) + b"key" + pack("<IIq", 4, 8, number)


def config_of(root: Path, kind: str, where: dict[str, Any]) -> Any:
    """Configure a repository with one of the online stores."""
    from feast.repo_config import RepoConfig

    return RepoConfig(
        project="bench",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{root}/registry.db"},
        offline_store={"type": "keepfit.backends.feature_store.offline.LakeOfflineStore"},
        online_store={"type": kind} | where,
        batch_engine={"type": f"{ONLINE}.engine.ColumnComputeEngine"},
        entity_key_serialization_version=3,
    )


def definitions(root: Path) -> list[Any]:
    """Define an entity and two views of it."""
    from feast import Entity, FeatureView, Field, FileSource
    from feast.data_format import ParquetFormat
    from feast.types import Float64, Int64, String
    from feast.value_type import ValueType

    entity = Entity(name="entity", join_keys=["key"], value_type=ValueType.INT64)
    views = [
        FeatureView(
            name=view,
            entities=[entity],
            ttl=timedelta(0),
            schema=[
                *(Field(name=f"{view}_{number}", dtype=Float64) for number in NUMBERS),
                Field(name=f"{view}_count", dtype=Int64),
                Field(name=f"{view}_name", dtype=String),
            ],
            source=FileSource(
                name=view,
                path=str(root / f"{view}.parquet"),
                file_format=ParquetFormat(),
                timestamp_field="at",
            ),
        )
        for view in VIEWS
    ]
    return [entity, *views]


def write(root: Path) -> None:
    """Write one row for each entity and view."""
    random = np.random.default_rng(1)
    for view in VIEWS:
        moment = np.datetime64("2024-01-01", "us") + random.integers(0, 10**9, ENTITIES)
        columns: dict[str, Any] = {"key": np.arange(ENTITIES)}
        columns["at"] = pa.array(moment).cast(pa.timestamp("us", "UTC"))
        columns |= {f"{view}_{number}": random.normal(size=ENTITIES) for number in NUMBERS}
        columns[f"{view}_count"] = random.integers(0, 10**6, ENTITIES)
        columns[f"{view}_name"] = [f"name {count % 100}" for count in columns[f"{view}_count"]]
        pq.write_table(pa.table(columns), root / f"{view}.parquet")


if __name__ == "__main__":
    main()
