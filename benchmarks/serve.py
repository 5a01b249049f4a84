"""Online serving: CPU and time of one request, beside MLflow's own server and the least FastAPI can do.

All servers run side by side, one process each, and are asked in turn, several rounds, by one asyncio client
that knows just enough HTTP. Compare within one run.
"""

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import typer
from common import say

from keepfit.backends.lake import Lake
from keepfit.backends.model_registry import CHALLENGER, CHAMPION, ModelRegistry
from keepfit.backends.trainers.lightgbm import train
from keepfit.ledger import Deployment, Ledger, migrate
from keepfit.plugins import TrainingTask
from keepfit.spec import Window, load_project
from keepfit.steps.evaluate import Evaluation
from keepfit.steps.register import Lineage, reference_sample, register

MODEL = "scores"
NAMES = [f"f{at:02d}" for at in range(20)]
FEATURES = dict.fromkeys(NAMES, "float64")
STORES = "${KEEPFIT_FEAST_REGISTRY}", "${KEEPFIT_FEAST_ONLINE}"
FIELDS = ", ".join(f"Field(name='{name}', dtype=Float64)" for name in NAMES)
COLUMNS = ", ".join(f"{name}: float64" for name in NAMES)
FILES = {
    "keepfit.yaml": "project: bench\ndatabase: sqlite\nserving: {poll_seconds: 0.1}\n",
    "feature_store.yaml": f"""
project: bench
provider: local
registry: {{registry_type: sql, path: "{STORES[0]}"}}
offline_store: {{type: keepfit.backends.feature_store.offline.LakeOfflineStore}}
online_store:
  type: keepfit.backends.feature_store.online.sqlite.GuardedSqliteOnlineStore
  path: "{STORES[1]}"
batch_engine: {{type: keepfit.backends.feature_store.online.engine.ColumnComputeEngine}}
materialization: {{pull_latest_features: true}}
entity_key_serialization_version: 3
""",
    "datasets/facts.yaml": f"""
name: facts
source: {{type: files, path: facts.parquet}}
columns: {{user: string, at: timestamp, label: int64, {COLUMNS}}}
key: [user, at]
event_time: at
feature_views: [facts]
""",
    "features.py": f"""
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field
from feast.types import Float64
from feast.value_type import ValueType
from keepfit.backends.feature_store import published

user = Entity(name="user", join_keys=["user"], value_type=ValueType.STRING)
facts = FeatureView(
    name="facts", entities=[user], ttl=timedelta(0), schema=[{FIELDS}], source=published("facts")
)
service = FeatureService(name="service", features=[facts])
""",
    f"models/{MODEL}.yaml": f"""
name: {MODEL}
task: classification
entities: {{dataset: facts, columns: [user]}}
features: service
label: {{column: label, delay: 1d}}
train: {{holdout: 2d, candidates: [{{trainer: lightgbm}}]}}
evaluate: {{objective: log_loss}}
""",
}
PYDANTIC_APP = """
import os
import mlflow.pyfunc
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

model = mlflow.pyfunc.load_model(os.environ["BENCH_MODEL"])
app = FastAPI()


class Row(BaseModel):
    features: dict[str, float]


@app.post("/predict")
async def predict(row: Row) -> dict[str, float]:
    return {"score": float(model.predict(pd.DataFrame([row.features]))[0])}


@app.post("/empty")
async def empty() -> dict[str, float]:
    return {"score": 0.5}
"""


@dataclass
class Server:
    """A server process and one request to it."""

    name: str
    process: psutil.Process
    port: int
    request: bytes
    cpu: list[float] = field(default_factory=list)
    """CPU microseconds of a request, by round, four asking at a time."""
    times: list[float] = field(default_factory=list)
    """Milliseconds of a request, of all rounds, one asking."""

    def seconds_of_cpu(self) -> float:
        """Add up the process and what it started."""
        every = [self.process, *self.process.children(recursive=True)]
        return sum(sum(each.cpu_times()[:2]) for each in every)


async def ask(port: int, request: bytes, count: int, asking: int) -> list[tuple[int, float]]:
    """Send a request again and again over kept connections; return statuses and milliseconds."""
    left = iter(range(count))
    done: list[tuple[int, float]] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            done.append((int(head[9:12]), (time.perf_counter() - began) * 1000))
        writer.close()

    await asyncio.gather(*(one() for _ in range(asking)))
    return done


def measure(server: Server, count: int) -> None:
    """Do a round with a server."""
    before = server.seconds_of_cpu()
    found = asyncio.run(ask(server.port, server.request, count, 4))
    server.cpu.append((server.seconds_of_cpu() - before) / count * 1e6)
    alone = asyncio.run(ask(server.port, server.request, count // 4, 1))
    if bad := [status for status, _ in [*found, *alone] if status != 200]:
        raise RuntimeError(f"{server.name} answered {bad[0]}")
    server.times += [took for _, took in alone]


def free_port() -> int:
    """Find a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post(path: str, body: Any) -> bytes:
    """Write a whole request."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


@contextmanager
def running(
    name: str, command: list[str], port: int, probe: str, request: bytes, **more: str
) -> Iterator[Server]:
    """Run a server in the block, from when it answers."""
    log = (Path(tempfile.gettempdir()) / f"keepfit-bench-{port}.log").open("w")
    process = subprocess.Popen(command, env=os.environ | more, stdout=log, stderr=log)
    server = Server(name, psutil.Process(process.pid), port, request)
    say(f"starting {name}")
    try:
        while True:
            if process.poll() is not None:
                raise RuntimeError(
                    f"{name} ended with {process.returncode}: {Path(log.name).read_text()[-2000:]}"
                )
            try:
                if httpx.get(f"http://127.0.0.1:{port}{probe}", trust_env=False).status_code < 500:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        yield server
    finally:
        for each in server.process.children(recursive=True) if process.poll() is None else ():
            each.kill()
        process.kill()
        process.wait()


@dataclass
class Bench:
    """A project with two versions of one model, and features online."""

    root: Path

    def __post_init__(self) -> None:
        for file, text in FILES.items():
            path = self.root / "feature_repo" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.locations = load_project(self.root).locations
        migrate(self.locations.ledger_url)
        self.ledger = Ledger(self.locations.ledger_url)
        self.registry = ModelRegistry(self.locations.tracking_uri, self.locations.artifacts)
        self.registry.initialise()
        chance = np.random.default_rng(3)
        self.rows = pd.DataFrame(chance.normal(size=(5000, 20)), columns=NAMES)
        self.rows["label"] = (self.rows["f00"] + chance.normal(0, 1, 5000) > 0).astype(float)
        self.row = {name: float(value) for name, value in self.rows[NAMES].iloc[0].items()}

    def register(self, seed: int) -> str:
        """Train a hundred trees and register them."""
        label = self.rows["label"].to_numpy()
        params = {"n_estimators": 100, "num_leaves": 31}
        model = train(TrainingTask(self.rows[NAMES], label, "classification", (), params, seed, 1))
        made = self.root / f"made{seed}"
        (made / "model").mkdir(parents=True)
        model.save(made / "model")
        reference_sample(model, self.rows, FEATURES, seed).to_parquet(made / "reference.parquet")
        window = "2024-01-20", "2024-01-26"
        return register(
            self.registry,
            MODEL,
            made / "model",
            Evaluation(0, ({"log_loss": 0.4},), {}, None, None, None, 9, *window),
            Lineage(
                f"run-{seed}",
                "2024-02-01",
                "pass",
                "lightgbm",
                "a/b",
                "d",
                5000,
                "a/b",
                "service",
                "r",
                "s",
                1,
            ),
            params={},
            reference=made / "reference.parquet",
            training_set=made / "reference.parquet",
        )

    def point(self, alias: Any, version: str, share: float | None = None) -> None:
        """Move an alias."""
        self.registry.move_alias(MODEL, alias, version)
        move = Deployment(MODEL, alias, None, version, "bench", "bench", None, f"b{time.time_ns()}", share)
        self.ledger.record_deployment(move)

    def bring_online(self) -> Any:
        """Publish a thousand users' features and materialise them; return the feature store."""
        from keepfit.backends.feature_store import FeatureStore

        facts = self.rows.head(1000).assign(user=[f"user{at}" for at in range(1000)])
        facts["at"] = pd.Timestamp("2024-01-01T10:00Z")
        facts.astype({"label": "int64"}).to_parquet(self.root / "facts.parquet")
        Lake(self.locations.lake).publish("facts", self.root / "facts.parquet")
        store = FeatureStore(load_project(self.root))
        store.register()
        store.materialize("facts", Window.parse("2024-01-01", "2024-01-02"))
        return store


def bare(bench: Bench, count: int) -> float:
    """Return CPU microseconds of the model's own call, coding left out."""
    model = bench.registry.load(MODEL, "1").model
    matrix = np.array([list(bench.row.values())])
    model.score(matrix)
    began = time.process_time()
    for _ in range(count):
        model.score(matrix)
    return (time.process_time() - began) / count * 1e6


def feast_alone(store: Any, count: int) -> tuple[float, float]:
    """Return CPU microseconds and the median milliseconds of Feast's own read of one row."""
    feast = store._feast
    service = feast.get_feature_service("service")
    asked = [{"user": "user7"}]
    feast.get_online_features(service, asked).to_dict()
    began, times = time.process_time(), []
    for _ in range(count):
        start = time.perf_counter()
        feast.get_online_features(service, asked).to_dict()
        times.append((time.perf_counter() - start) * 1000)
    return (time.process_time() - began) / count * 1e6, statistics.median(times)


async def while_swapping(
    bench: Bench, server: Server, seconds: float, every: float | None
) -> list[tuple[int, float]]:
    """Ask four at a time, while the champion changes every so often."""
    found: list[tuple[int, float]] = []
    end = time.monotonic() + seconds

    async def load() -> None:
        while time.monotonic() < end:
            found.extend(await ask(server.port, server.request, 400, 4))

    async def swap() -> None:
        version = "1"
        while every and time.monotonic() < end:
            version = "2" if version == "1" else "1"
            await asyncio.to_thread(bench.registry.move_alias, MODEL, CHAMPION, version)
            await asyncio.sleep(every)

    both: list[Awaitable[None]] = [load(), swap()]
    await asyncio.gather(*both)
    return found


def p99(found: list[tuple[int, float]]) -> float:
    """Return the milliseconds that one in a hundred exceeds."""
    return float(np.quantile([took for _, took in found], 0.99))


def servers(bench: Bench, stack: ExitStack) -> list[Server]:
    """Start all that is compared."""
    keep, other, mlflow = free_port(), free_port(), free_port()
    app = bench.root / "bench_app.py"
    app.write_text(PYDANTIC_APP)
    python, uri = sys.executable, f"models:/{MODEL}/1"
    registry = {
        "MLFLOW_TRACKING_URI": bench.locations.tracking_uri,
        "MLFLOW_REGISTRY_URI": bench.locations.tracking_uri,
        # It looks for uvicorn there.
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
    }
    serve = [python, "-m", "keepfit", "serve", "--root", str(bench.root), "--port", str(keep)]
    uvicorn = [python, "-m", "uvicorn", "bench_app:app", "--app-dir", str(bench.root), "--port", str(other)]
    models = [
        python,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        uri,
        "--env-manager",
        "local",
        "--port",
        str(mlflow),
    ]
    path = f"/models/{MODEL}/predict"
    ours = stack.enter_context(
        running("keepfit serve", serve, keep, "/ready", post(path, {"features": bench.row}))
    )
    theirs = stack.enter_context(
        running(
            "FastAPI + pydantic + pyfunc",
            [*uvicorn, "--log-level", "warning", "--no-access-log"],
            other,
            "/docs",
            post("/predict", {"features": bench.row}),
            BENCH_MODEL=uri,
            **registry,
        )
    )
    mlflows = stack.enter_context(
        running(
            "mlflow models serve",
            models,
            mlflow,
            "/ping",
            post("/invocations", {"dataframe_records": [bench.row]}),
            **registry,
        )
    )
    looked_up = post(path, {"entities": {"user": "user7"}})
    return [
        ours,
        Server("keepfit serve, features online", ours.process, keep, looked_up),
        Server("empty FastAPI route", theirs.process, other, post("/empty", {})),
        theirs,
        mlflows,
    ]


def report(every: list[Server], model: float, feast: tuple[float, float]) -> None:
    """Print the tables."""
    ours, online, empty, *_, mlflow = every
    mine = statistics.median(ours.cpu)
    print("| server | CPU us / request | x keepfit | p50 ms, one asking | x empty route |")
    print("|---|---|---|---|---|")
    for each in every:
        cpu, p50 = statistics.median(each.cpu), statistics.median(each.times)
        ratio = p50 / statistics.median(empty.times)
        print(f"| {each.name} | {cpu:.0f} | {cpu / mine:.1f} | {p50:.3f} | {ratio:.1f} |")
    print(f"| the bare model call, no server | {model:.0f} | {model / mine:.2f} | - | - |")
    sum_cpu = mine + feast[0]
    sum_p50 = statistics.median(ours.times) + feast[1]
    print(
        f"\nFeast's own read of a row: {feast[0]:.0f} us, p50 {feast[1]:.3f} ms. keepfit with features "
        f"online against the sum of both: CPU {statistics.median(online.cpu) / sum_cpu:.2f}, "
        f"p50 {statistics.median(online.times) / sum_p50:.2f}"
    )
    print(f"mlflow models serve / keepfit, CPU: {statistics.median(mlflow.cpu) / mine:.1f}")


def main(count: int = 2000, rounds: int = 5, seconds: float = 10.0) -> None:
    """Build the project, start the servers, ask them in turn."""
    with TemporaryDirectory(prefix="keepfit-serve-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder))
        versions = [bench.register(seed) for seed in (1, 2)]
        store = bench.bring_online()
        bench.point(CHAMPION, versions[0])
        bench.point(CHALLENGER, versions[1], share=0.3)
        every = servers(bench, stack)
        for number in range(rounds + 1):
            say(f"round {number}")
            for server in every:
                measure(server, count if "mlflow" not in server.name else count // 4)
                if number == 0:
                    server.cpu.clear()
                    server.times.clear()
        report(every, bare(bench, count), feast_alone(store, count))
        still = asyncio.run(while_swapping(bench, every[0], seconds, None))
        swapped = asyncio.run(while_swapping(bench, every[0], seconds, 0.5))
        failed = sum(status != 200 for status, _ in swapped)
        print(
            f"Hot swap twice a second: {failed} of {len(swapped)} requests failed; "
            f"p99 {p99(swapped):.2f} ms, without swaps {p99(still):.2f} ms ({p99(swapped) / p99(still):.1f}x)"
        )


if __name__ == "__main__":
    typer.run(main)
