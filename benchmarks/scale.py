"""What each step from a source to the training set costs, by rows: seconds and peak memory.

Each step runs in a process of its own, whose peak is measured; the whole ingest is also held against the same
work done by hand with DuckDB and deltalake.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from keepfit.spec import Window, load_project

LIMIT = "1GB"
FIRST, LAST = "2024-01-01", "2024-12-31"
INGEST = ("extract", "check_schema", "transform", "publish")
FILES = {
    "keepfit.yaml": f"project: scale\ndatabase: sqlite\nengine: {{memory_limit: {LIMIT}, threads: 2}}\n",
    "feature_store.yaml": """
project: scale
provider: local
registry: {registry_type: sql, path: "${KEEPFIT_FEAST_REGISTRY}"}
offline_store: {type: keepfit.backends.feature_store.offline.LakeOfflineStore}
online_store: {type: sqlite, path: "${KEEPFIT_FEAST_ONLINE}"}
entity_key_serialization_version: 3
""",
    "datasets/events.yaml": """
name: events
source: {type: files, path: "events.parquet"}
columns: {event_id: int64, account: string, happened_at: timestamp, amount: float64, kind: string,
  items: int64, note: string, label: int64}
key: [event_id]
event_time: happened_at
transform: events
""",
    "datasets/rows.yaml": """
name: rows
source: {type: sql, connection: "env:SCALE_DATABASE", table: events}
columns: {event_id: int64, account: string, happened_at: timestamp, amount: float64, kind: string,
  items: int64, note: string, label: int64}
key: [event_id]
event_time: happened_at
""",
    "datasets/profiles.yaml": """
name: profiles
source: {type: files, path: "profiles.parquet"}
columns: {account: string, seen_at: timestamp, visits: int64, spend: float64, tier: string}
key: [account, seen_at]
event_time: seen_at
""",
    "transforms/events.sql": "SELECT *, amount / items AS price, upper(kind) AS sort FROM source\n",
    "features.py": """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field
from feast.types import Float64, Int64, String
from feast.value_type import ValueType
from keepfit.backends.feature_store import published

account = Entity(name="account", join_keys=["account"], value_type=ValueType.STRING)
profiles = FeatureView(
    name="profiles", entities=[account], ttl=timedelta(days=30), source=published("profiles"),
    schema=[Field(name="visits", dtype=Int64), Field(name="spend", dtype=Float64),
            Field(name="tier", dtype=String)],
)
known = FeatureService(name="known", features=[profiles])
""",
    "models/churn.yaml": """
name: churn
task: classification
entities: {dataset: events, columns: [account]}
features: known
label: {column: label, delay: 1d}
train: {holdout: 30d, candidates: [{trainer: lightgbm}]}
evaluate: {objective: log_loss}
""",
}
_SECONDS = 366 * 86_400
EVENTS = f"""
SELECT i AS event_id, 'account-' || (hash(i) % greatest(1, $1 // 100)) AS account,
  TIMESTAMP '2024-01-01' + to_seconds((hash(i * 7) % {_SECONDS - 86_400})::BIGINT) AS happened_at,
  (hash(i * 3) % 100000) / 100 AS amount, 'kind-' || (hash(i * 5) % 50) AS kind,
  (1 + hash(i * 11) % 9)::BIGINT AS items, 'note ' || hash(i * 13) AS note,
  (hash(i * 17) % 2)::BIGINT AS label
FROM range($1) AS t(i)
"""
PROFILES = """
SELECT 'account-' || (i % greatest(1, $1 // 100)) AS account,
  TIMESTAMP '2024-01-01' + to_days((i // greatest(1, $1 // 100) * 36)::INTEGER) AS seen_at,
  (hash(i) % 99)::BIGINT AS visits, (hash(i * 3) % 10000) / 10 AS spend, 'tier-' || (hash(i * 5) % 4) AS tier
FROM range($1 // 10) AS t(i)
"""


@dataclass(frozen=True)
class Cost:
    """What a step took."""

    seconds: float
    """CPU seconds of all its threads: other work on the machine does not count."""
    megabytes: float
    """The peak of its process."""


def say(what: str) -> None:
    """Tell who waits what is going on."""
    print(what, file=sys.stderr, flush=True)


def make(root: Path, rows: int) -> None:
    """Write the project and its sources."""
    for name, text in FILES.items():
        path = root / "feature_repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, query in (("events", EVENTS), ("profiles", PROFILES)):
        with duckdb.connect(config={"memory_limit": "2GB"}) as sql:
            sql.execute(f"COPY ({query}) TO '{root / name}.parquet' (COMPRESSION zstd)", [rows])


def fill_database(root: Path) -> None:
    """Write the events into a SQLite file."""
    import pyarrow.parquet as pq

    source = pq.ParquetFile(root / "events.parquet")
    names = source.schema_arrow.names
    with closing(sqlite3.connect(root / "events.db")) as database:
        database.execute(f"CREATE TABLE events ({', '.join(names)})")
        for batch in source.iter_batches(100_000):
            texts = batch.set_column(2, names[2], batch.column(2).cast("string"))
            rows = zip(*(column.to_pylist() for column in texts.columns), strict=True)
            database.executemany(f"INSERT INTO events VALUES ({', '.join('?' * len(names))})", rows)
        database.commit()


def measured(root: Path, *what: str) -> Cost:
    """Do a step in a process of its own."""
    environment = os.environ | {"SCALE_DATABASE": f"sqlite:///{root / 'events.db'}"}
    command = [sys.executable, __file__, "step", str(root), *what]
    told = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout
    cost = Cost(**json.loads(told.splitlines()[-1]))
    say(f"    {' '.join(what):<28} {cost.seconds:7.2f} s {cost.megabytes:7.0f} MB")
    return cost


def step(root: Path, kind: str, name: str = "", verb: str = "") -> None:
    """Do one step here, and tell what it took."""
    began = _work(root, kind, name, verb)
    seconds = time.process_time() - began
    print(json.dumps({"seconds": seconds, "megabytes": _peak()}))


def _peak() -> float:
    """Return this process's peak in MB; `ru_maxrss` would count the parent's before the fork."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _work(root: Path, kind: str, name: str, verb: str) -> float:
    """Import, then work; return when the work began."""
    from keepfit.backends.feature_store import FeatureStore  # noqa: F401 - so that all peaks hold the imports
    from keepfit.pipeline.snapshot import take_snapshot

    if kind == "imports":
        return time.process_time()
    if kind == "bare":
        began = time.process_time()
        by_hand(root)
        return began
    project = load_project(root)
    if kind == "train":
        return _training_set(project)
    from keepfit.cli.access import local_access
    from keepfit.ledger import migrate
    from keepfit.pipeline.ingest import IngestRun

    project.locations.home.mkdir(parents=True, exist_ok=True)
    migrate(project.locations.ledger_url)
    snapshot = take_snapshot(
        project, f"{name}__ingest", kind, dataset=name, window=Window.parse(FIRST, LAST), settings={}
    )
    run = IngestRun(snapshot, local_access(snapshot.locations))
    began = time.process_time()
    for each in INGEST if verb == "all" else (verb,):
        getattr(run, each)()
    return began


def _training_set(project: Any) -> float:
    from keepfit.pipeline.snapshot import take_snapshot
    from keepfit.pipeline.training import TrainingRun

    settings = {"as_of": f"{LAST}T00:00:00+00:00"}
    snapshot = take_snapshot(project, "churn__train", "train", model="churn", settings=settings)
    began = time.process_time()
    TrainingRun(snapshot).build_training_set()
    return began


def by_hand(root: Path) -> None:
    """Do the ingest's work with the tools alone: copy, look, compute and sort, publish."""
    import deltalake

    raw, out = root / "bare_raw.parquet", root / "bare.parquet"
    with duckdb.connect(
        config={"memory_limit": LIMIT, "threads": 2, "temp_directory": str(root / "spill")}
    ) as sql:
        within = f"happened_at >= '{FIRST}' AND happened_at < '{LAST}'"
        sql.execute(f"COPY (SELECT * FROM '{root / 'events.parquet'}' WHERE {within}) TO '{raw}'")
        sql.execute(f"SELECT count(COLUMNS(*)) FROM '{raw}'").fetchall()
        sql.execute(f"SELECT event_id FROM '{raw}' GROUP BY event_id HAVING count(*) > 1 LIMIT 1").fetchall()
        computed = f"SELECT *, amount / items AS price, upper(kind) AS sort FROM '{raw}'"
        sql.execute(f"COPY ({computed} ORDER BY happened_at, event_id) TO '{out}' (COMPRESSION zstd)")
        reader = sql.execute(f"FROM '{out}'").to_arrow_reader(65_536)
        deltalake.write_deltalake(str(root / "bare_table"), reader, mode="overwrite")


_DATABASE_ROWS = 1_000_000
"""Filling SQLite with more takes longer than all the rest."""


def costs(rows: int) -> Mapping[str, Cost]:
    """Measure all steps on so many rows."""
    say(f"  {rows:,} rows")
    with TemporaryDirectory(prefix="keepfit-scale-") as folder:
        root = Path(folder)
        make(root, rows)
        found = {"imports alone": measured(root, "imports")}
        if rows <= _DATABASE_ROWS:
            fill_database(root)
            found["extract from SQL"] = measured(root, "one", "rows", "extract")
        for verb in INGEST:
            found[verb] = measured(root, "one", "events", verb)
        measured(root, "one", "profiles", "all")
        found["build_training_set"] = measured(root, "train")
        found["whole ingest"] = measured(root, "two", "events", "all")
        found["the same by hand"] = measured(root, "bare")
        return found


def main(sizes: list[int]) -> None:
    """Print the table."""
    found = {size: costs(size) for size in sizes}
    header = " | ".join(f"{size:,}: CPU s | MB" for size in sizes)
    print(f"| step | {header} |\n|---|{'---|---|' * len(sizes)}")
    for name in found[sizes[0]]:
        print(f"| {name} | {' | '.join(_cell(found[size].get(name)) for size in sizes)} |")
    ratios = (_ratio(found[size]) for size in sizes)
    print(f"| whole ingest / by hand | {' | '.join(f'{ratio:.2f} | ' for ratio in ratios)}|")


def _cell(cost: Cost | None) -> str:
    return f"{cost.seconds:.1f} | {cost.megabytes:.0f}" if cost else "- | -"


def _ratio(found: Mapping[str, Cost]) -> float:
    return found["whole ingest"].seconds / found["the same by hand"].seconds


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        step(Path(sys.argv[2]), *sys.argv[3:])
    else:
        main([int(each) for each in sys.argv[1:]] or [100_000, 1_000_000, 10_000_000])
