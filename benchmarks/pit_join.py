"""What a point-in-time join of three views costs: Feast's duckdb store, keepfit's, and plain SQL."""

import resource
import statistics
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from datetime import timedelta
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

UTC = pa.timestamp("us", "UTC")
VIEWS = {"plane": (4000, 1.0, 7), "carrier": (16 * 3, 0.35, 7), "weather": (3, 0.08, 3 / 24)}
"""For each view: keys, rows for each row that asks, and how many days a value is good."""
FEATURES = 6
ROWS = 334_264
REPEATS = 3
WAYS = ("keepfit", "sql", "polars", "feast")


def main() -> None:
    """Measure ways in processes of their own; the arguments are the number of rows that ask, and the ways."""
    first, *named = sys.argv[1:] or [str(ROWS)]
    if not first.isdigit():
        one(Path(first), named[0])
        return
    with TemporaryDirectory(prefix="keepfit-benchmark-") as folder:
        write(Path(folder), int(first))
        print("| way | median s | CPU s | peak GB | values found |")
        print("|---|---|---|---|---|")
        for way in named or WAYS:
            if way == "polars" and find_spec("polars") is None:
                print("| polars | not installed | | | |")
                continue
            runs = [measured(folder, way) for _ in range(REPEATS)]
            wall, cpu, peak = (statistics.median(run[place] for run in runs) for place in range(3))
            print(f"| {way} | {wall:.2f} | {cpu:.2f} | {peak:.2f} | {runs[0][3]:,.0f} |", flush=True)


def measured(folder: str, way: str) -> list[float]:
    """Run one way and return wall and CPU seconds, peak memory in GB, and how many values it found."""
    command = [sys.executable, __file__, folder, way]
    line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [float(number) for number in line.split()]


def write(root: Path, rows: int) -> None:
    """Write a year of values for each view, and rows that ask within the year."""
    random = np.random.default_rng(1)

    def moments(count: int) -> pa.Array:
        seconds = random.integers(0, 365 * 86_400, count)
        return pa.array(np.datetime64("2024-01-01", "us") + seconds * np.timedelta64(1_000_000, "us")).cast(
            UTC
        )

    asking: dict[str, Any] = {"event_timestamp": moments(rows)}
    for name, (keys, share, _) in VIEWS.items():
        count = int(rows * share)
        values: dict[str, Any] = {name: random.integers(0, keys, count), "at": moments(count)}
        values |= {f"{name}_{number}": random.normal(size=count) for number in range(FEATURES)}
        pq.write_table(pa.table(values), root / f"{name}.parquet")
        asking[name] = random.integers(0, keys, rows)
    pq.write_table(pa.table(asking), root / "asking.parquet")


def one(root: Path, way: str) -> None:
    """Join once and print what it cost; imports and the registry are not counted."""
    join = {"sql": by_sql, "polars": by_polars}.get(way) or by_feast(root, way)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        cpu, wall = time.process_time(), time.perf_counter()
        found = join(root)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(wall, cpu, peak, found)


def by_feast(root: Path, way: str) -> Any:
    """Return the join through Feast, with its duckdb store or keepfit's."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource
    from feast.data_format import ParquetFormat
    from feast.repo_config import RepoConfig
    from feast.types import Float64
    from feast.value_type import ValueType

    store_type = {"keepfit": "keepfit.backends.feature_store.offline.LakeOfflineStore", "feast": "duckdb"}
    entities = {name: Entity(name=name, join_keys=[name], value_type=ValueType.INT64) for name in VIEWS}
    views = [
        FeatureView(
            name=name,
            entities=[entities[name]],
            ttl=timedelta(days=days),
            schema=[Field(name=f"{name}_{number}", dtype=Float64) for number in range(FEATURES)],
            source=FileSource(
                name=name,
                path=str(root / f"{name}.parquet"),
                file_format=ParquetFormat(),
                timestamp_field="at",
            ),
        )
        for name, (_, _, days) in VIEWS.items()
    ]
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(root / f"{way}.db"),
        offline_store={"type": store_type[way]},
        online_store={"type": "sqlite", "path": str(root / "online.db")},
        entity_key_serialization_version=3,
    )
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        store = FeatureStore(config=config)
        store.apply([*entities.values(), *views])
    features = [f"{name}:{name}_{number}" for name in VIEWS for number in range(FEATURES)]
    asking = pq.read_table(root / "asking.parquet").to_pandas()

    def join(_: Path) -> int:
        table = store.get_historical_features(asking, features).to_arrow()
        return sum(len(table) - table[feature.split(":")[1]].null_count for feature in features)

    return join


def by_sql(root: Path) -> int:
    """Join with the query that one would write by hand."""
    joins, columns = [], []
    for name, (_, _, days) in VIEWS.items():
        good = f"{name}.at + INTERVAL {int(days * 24)} HOUR >= r.event_timestamp"
        columns += [f"CASE WHEN {good} THEN {name}.{name}_{n} END AS {name}_{n}" for n in range(FEATURES)]
        joins.append(
            f"ASOF LEFT JOIN '{root}/{name}.parquet' AS {name} "
            f"ON r.{name} = {name}.{name} AND r.event_timestamp >= {name}.at"
        )
    query = f"SELECT r.*, {', '.join(columns)} FROM rows AS r {' '.join(joins)} ORDER BY r.place"
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute(
            f"CREATE TABLE rows AS SELECT *, row_number() OVER () AS place FROM '{root}/asking.parquet'"
        )
        table = connection.execute(query).to_arrow_table()
    return sum(len(table) - table[f"{name}_{n}"].null_count for name in VIEWS for n in range(FEATURES))


def by_polars(root: Path) -> int:
    """Join with polars, view after view, on sorted rows."""
    import polars

    rows = polars.read_parquet(root / "asking.parquet").sort("event_timestamp")
    found = 0
    for name, (_, _, days) in VIEWS.items():
        values = polars.read_parquet(root / f"{name}.parquet").sort("at")
        rows = rows.join_asof(
            values, left_on="event_timestamp", right_on="at", by=name, tolerance=timedelta(days=days)
        ).drop("at")
        found += sum(len(rows) - rows[f"{name}_{number}"].null_count() for number in range(FEATURES))
    return found


if __name__ == "__main__":
    main()
