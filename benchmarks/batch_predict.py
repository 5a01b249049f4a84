"""What it costs to predict a partition of rows: keepfit's step, and plain pandas in memory."""

import resource
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.spec import Window, load_project

ROWS, NUMBERS, KINDS = 10_000_000, 18, 2
WINDOW = Window.parse("2024-01-01", "2024-01-31")
MODEL, TABLE = "returns", "orders"
FILES = {
    "keepfit.yaml": "project: bench\ndatabase: sqlite\nengine: {memory_limit: 1GB, threads: 2}\n",
    "feature_store.yaml": """
project: bench
provider: local
registry: {registry_type: sql, path: "${KEEPFIT_FEAST_REGISTRY}"}
offline_store: {type: keepfit.backends.feature_store.offline.LakeOfflineStore}
online_store:
  type: keepfit.backends.feature_store.online.sqlite.GuardedSqliteOnlineStore
  path: "${KEEPFIT_FEAST_ONLINE}"
entity_key_serialization_version: 3
""",
    f"datasets/{TABLE}.yaml": f"""
name: {TABLE}
source: {{type: files, path: none.parquet}}
columns: {{order_id: int64, ordered_at: timestamp, returned: int64}}
key: [order_id]
event_time: ordered_at
""",
    "features.py": f"""
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field
from feast.types import Float64, String
from feast.value_type import ValueType
from keepfit.backends.feature_store import published

order = Entity(name="order", join_keys=["order_id"], value_type=ValueType.INT64)
facts = FeatureView(
    name="facts", entities=[order], ttl=timedelta(days=30),
    schema=[
        *(Field(name=f"number_{{at}}", dtype=Float64) for at in range({NUMBERS})),
        *(Field(name=f"kind_{{at}}", dtype=String) for at in range({KINDS})),
    ],
    source=published("{TABLE}"),
)
facts_of_orders = FeatureService(name="facts_of_orders", features=[facts])
""",
    f"models/{MODEL}.yaml": f"""
name: {MODEL}
task: classification
entities: {{dataset: {TABLE}}}
features: facts_of_orders
label: {{column: returned, delay: 1d}}
train: {{holdout: 2d, candidates: [{{trainer: lightgbm}}]}}
evaluate: {{objective: log_loss}}
""",
}


def main() -> None:
    """Measure each way in a process of its own; the argument is the number of rows."""
    if len(sys.argv) == 3:
        one(Path(sys.argv[1]), sys.argv[2])
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with TemporaryDirectory(prefix="keepfit-benchmark-") as folder:
        root = Path(folder)
        subprocess.run([sys.executable, __file__, folder, f"write={rows}"], check=True)
        print("| way | wall s | CPU s | peak GB | of which imports GB |")
        print("|---|---|---|---|---|")
        for way in ("plain", "keepfit"):
            wall, cpu, peak, before = measured(root, way)
            print(f"| {way} | {wall:.1f} | {cpu:.1f} | {peak:.2f} | {before:.2f} |", flush=True)


def measured(root: Path, way: str) -> list[float]:
    """Run one way and return wall and CPU seconds, and peak memory in GB with and without the rows."""
    command = [sys.executable, __file__, str(root), way]
    line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [float(number) for number in line.split()]


def one(root: Path, way: str) -> None:
    """Do one way and print what it cost; imports and opening the stores are not counted."""
    if way.startswith("write="):
        write(root, int(way.removeprefix("write=")))
        return
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        prepared = {"plain": plain, "keepfit": keepfit}[way](root)
        before = peak()
        cpu, wall = time.process_time(), time.perf_counter()
        prepared()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(wall, cpu, peak(), before)


def peak() -> float:
    """Return the most memory this process has had, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def plain(root: Path) -> Any:
    """Read all rows with pandas, predict, and write them with their scores."""
    import lightgbm

    booster = lightgbm.Booster(model_file=str(root / "model" / "model.txt"))
    names = features()
    levels = [f"k{at}" for at in range(8)]

    def run() -> None:
        frame = pd.read_parquet(root / "rows.parquet")
        for name in names[NUMBERS:]:
            frame[name] = pd.Categorical(frame[name], categories=levels).codes.astype("float64")
        frame["score"] = booster.predict(frame[names].to_numpy(), num_threads=THREADS)
        frame.to_parquet(root / "plain.parquet")

    return run


THREADS = 2


def keepfit(root: Path) -> Any:
    """Run the step of `<model>__predict` that scores and publishes."""
    from keepfit.pipeline.prediction import PredictionRun
    from keepfit.pipeline.scoring import choose
    from keepfit.pipeline.snapshot import take_snapshot

    snapshot = take_snapshot(load_project(root), f"{MODEL}__predict", "run", model=MODEL, window=WINDOW)
    run = PredictionRun(snapshot)
    run.wait_for()
    choose(snapshot, ())
    return run.predict


def features() -> list[str]:
    """Name the features in their order."""
    return [*(f"number_{at}" for at in range(NUMBERS)), *(f"kind_{at}" for at in range(KINDS))]


def write(root: Path, rows: int) -> None:
    """Write the project, its rows, published and plain, and a model that is live."""
    from keepfit.backends.lake import Lake
    from keepfit.ledger import Ledger, Publication, migrate

    for name, text in FILES.items():
        path = root / "feature_repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    project = load_project(root)
    file, step = root / "rows.parquet", 500_000
    with pq.ParquetWriter(file, generated(0, 1, rows).schema, compression="zstd") as writer:
        for first in range(0, rows, step):
            writer.write_table(generated(first, min(step, rows - first), rows))
    done = Lake(project.locations.lake).publish(TABLE, file, time_column="ordered_at", window=WINDOW)
    migrate(project.locations.ledger_url)
    Ledger(project.locations.ledger_url).record_publication(
        Publication(TABLE, WINDOW.start, WINDOW.end, done.rows, done.digest, done.version, "bench")
    )
    deploy(root, project)


def generated(first: int, count: int, rows: int) -> pa.Table:
    """Make rows in the order of time."""
    random = np.random.default_rng([1, first])
    span = (WINDOW.end - WINDOW.start) / rows
    at = np.datetime64(WINDOW.start.replace(tzinfo=None), "us") + np.arange(
        first, first + count
    ) * np.timedelta64(span)
    columns: dict[str, Any] = {
        "order_id": np.arange(first, first + count),
        "ordered_at": pa.array(at).cast(pa.timestamp("us", "UTC")),
        "returned": random.integers(0, 2, count),
    }
    columns |= {f"number_{each}": random.normal(size=count).round(3) for each in range(NUMBERS)}
    levels = np.array([f"k{each}" for each in range(8)], dtype=object)
    columns |= {f"kind_{each}": levels[random.integers(0, 8, count)] for each in range(KINDS)}
    return pa.table(columns)


def deploy(root: Path, project: Any) -> None:
    """Train on some rows and make the version live."""
    from keepfit import plugins
    from keepfit.backends import model_files
    from keepfit.backends.model_registry import ModelRegistry
    from keepfit.backends.version import VersionDetails

    frame = generated(0, 50_000, 50_000).to_pandas()
    chance = 1 / (1 + np.exp(-frame["number_0"] - frame["number_1"] * frame["number_2"]))
    label = (np.random.default_rng(2).random(len(frame)) < chance).to_numpy(np.float64)
    kinds = tuple(features()[NUMBERS:])
    task = plugins.TrainingTask(frame[features()], label, "classification", kinds, {}, 7, 2)
    folder = root / "model"
    folder.mkdir()
    plugins.find("trainers", "lightgbm")(task).save(folder)
    reference = root / "reference.parquet"
    frame.head(100).to_parquet(reference)
    registry = ModelRegistry(project.locations.tracking_uri, project.locations.artifacts)
    details = VersionDetails(
        task="classification",
        features=model_files.read_card(folder).coding.features,
        files=model_files.digests(folder),
        reference_sha256=model_files.sha256(reference),
        metrics={"log_loss": 0.6},
        tags={"keepfit.run_id": "bench"},
    )
    version = registry.register(
        MODEL, folder, details, reference=reference, training_set=reference, digest="0" * 64
    )
    registry.move_alias(MODEL, "champion", version)


if __name__ == "__main__":
    main()
