"""What materialising ten features costs: Feast's default against keepfit's writers, on SQLite and Redis."""

import resource
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from redis_server import cpu_of, server

ONLINE = "keepfit.backends.feature_store.online"
STORES = {
    "sqlite": f"{ONLINE}.sqlite.GuardedSqliteOnlineStore",
    "redis": f"{ONLINE}.redis.GuardedRedisOnlineStore",
}
NUMBERS = [f"f{number}" for number in range(8)]


def main() -> None:
    """Measure each way in a process of its own; the argument is the number of entities."""
    if len(sys.argv) == 5:
        one(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4])
        return
    entities = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with TemporaryDirectory(prefix="keepfit-benchmark-") as folder, server(Path(folder)) as (port, redis_pid):
        root = Path(folder)
        write(root / "values.parquet", entities)
        print("| store | way | CPU s | server's CPU s | wall s | entities/s | peak GB |")
        print("|---|---|---|---|---|---|---|")
        for store in ("sqlite", "redis"):
            for way in ("feast", "keepfit"):
                before = cpu_of(redis_pid)
                command = [sys.executable, __file__, str(root), store, way, str(port)]
                line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                cpu, wall, peak = map(float, line.split())
                on_server = cpu_of(redis_pid) - before
                costs = f"{cpu:.1f} | {on_server:.1f} | {wall:.1f} | {entities / wall:,.0f} | {peak:.2f}"
                print(
                    f"| {store} | {way} | {costs} |",
                    flush=True,
                )


def write(file: Path, entities: int) -> None:
    """Write one row for each entity: eight floats, an integer and a text."""
    random = np.random.default_rng(1)
    moment = np.datetime64("2024-01-01", "us") + random.integers(0, 10**9, entities)
    columns: dict[str, Any] = {"key": random.permutation(entities), "at": pa.array(moment).cast(UTC)}
    columns |= {name: random.normal(size=entities) for name in NUMBERS}
    columns |= {"count": random.integers(0, 10**6, entities)}
    columns |= {"name": np.array([f"name {number}" for number in range(100)])[columns["count"] % 100]}
    pq.write_table(pa.table(columns), file)


UTC = pa.timestamp("us", "UTC")


def one(root: Path, store: str, way: str, port: str) -> None:
    """Materialise once and print CPU and wall seconds and peak memory in GB; the set-up is not counted."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource
    from feast.data_format import ParquetFormat
    from feast.repo_config import RepoConfig
    from feast.types import Float64, Int64, String
    from feast.value_type import ValueType

    entity = Entity(name="entity", join_keys=["key"], value_type=ValueType.INT64)
    fields = [*(Field(name=name, dtype=Float64) for name in NUMBERS)]
    fields += [Field(name="count", dtype=Int64), Field(name="name", dtype=String)]
    source = FileSource(
        name="values",
        path=str(root / "values.parquet"),
        file_format=ParquetFormat(),
        timestamp_field="at",
    )
    view = FeatureView(
        name=f"values_{way}", entities=[entity], ttl=timedelta(0), schema=fields, source=source
    )
    where: dict[str, Any] = (
        {"path": str(root / f"{way}.db")}
        if store == "sqlite"
        else {"connection_string": f"127.0.0.1:{port},db={int(way == 'keepfit')}"}
    )
    ours = way == "keepfit"
    config = RepoConfig(
        project="bench",
        provider="local",
        registry={"registry_type": "sql", "path": f"sqlite:///{root}/{store}-{way}.db"},
        offline_store={
            "type": "keepfit.backends.feature_store.offline.LakeOfflineStore" if ours else "duckdb"
        },
        online_store={"type": STORES[store] if ours else store} | where,
        batch_engine={"type": f"{ONLINE}.engine.ColumnComputeEngine" if ours else "local"},
        entity_key_serialization_version=3,
    )
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        feast = FeatureStore(config=config)
        feast.apply([entity, view])
        cpu, wall = time.process_time(), time.perf_counter()
        feast.materialize(datetime(2023, 1, 1), datetime(2025, 1, 1))  # noqa: DTZ001 - Feast takes it as UTC
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(cpu, wall, peak)


if __name__ == "__main__":
    main()
