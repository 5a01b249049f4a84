"""A project with a tiny trained model in its registry and features online, and real servers of it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from keepfit.backends.lake import Lake
from keepfit.backends.model_registry import CHALLENGER, CHAMPION, Alias, ModelRegistry
from keepfit.backends.trainers.lightgbm import train
from keepfit.ledger import Deployment, Ledger, migrate
from keepfit.plugins import TrainingTask
from keepfit.spec import Project, Window, load_project
from keepfit.steps.evaluate import Evaluation
from keepfit.steps.register import Lineage, reference_sample, register

MODEL = "returns_soon"
FEATURES = {"visits": "float64", "spend": "float64", "tier": "string", "share": "float64"}
ROW: dict[str, Any] = {"visits": 3, "spend": 120.5, "tier": "gold", "share": 0.4}
OF = "2024-01-02T00:00:00Z"
"""A moment at which the values of all customers are good."""
FILES = {
    "keepfit.yaml": """
project: shop
database: sqlite
serving: {poll_seconds: 0.2, log_seconds: 0.3, max_rows: 50, max_body_bytes: 20000}
""",
    "feature_store.yaml": """
project: shop
provider: local
registry: {registry_type: sql, path: "${KEEPFIT_FEAST_REGISTRY}"}
offline_store: {type: keepfit.backends.feature_store.offline.LakeOfflineStore}
online_store:
  type: keepfit.backends.feature_store.online.sqlite.GuardedSqliteOnlineStore
  path: "${KEEPFIT_FEAST_ONLINE}"
batch_engine: {type: keepfit.backends.feature_store.online.engine.ColumnComputeEngine}
materialization: {pull_latest_features: true, online_write_batch_size: 10000}
entity_key_serialization_version: 3
""",
    "datasets/habits.yaml": """
name: habits
source: {type: files, path: habits.parquet}
columns: {customer: string, seen_at: timestamp, visits: int64, spend: float64, tier: string}
key: [customer, seen_at]
event_time: seen_at
feature_views: [habits]
""",
    "datasets/orders.yaml": """
name: orders
source: {type: files, path: orders.parquet}
columns: {order_id: int64, customer: string, ordered_at: timestamp, amount: float64, returned: int64}
key: [order_id]
event_time: ordered_at
""",
    "features.py": """
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String
from feast.value_type import ValueType
from keepfit.backends.feature_store import published

buyer = Entity(name="buyer", join_keys=["customer"], value_type=ValueType.STRING)
habits = FeatureView(
    name="habits",
    entities=[buyer],
    ttl=timedelta(days=2),
    schema=[
        Field(name="visits", dtype=Int64),
        Field(name="spend", dtype=Float64),
        Field(name="tier", dtype=String),
    ],
    source=published("habits"),
)
order = RequestSource(name="order", schema=[Field(name="amount", dtype=Float64)])


@on_demand_feature_view(sources=[habits, order], schema=[Field(name="share", dtype=Float64)])
def basket(inputs: pd.DataFrame) -> pd.DataFrame:
    if (inputs["amount"] < 0).any():
        raise ValueError("no order costs less than nothing")
    return pd.DataFrame({"share": inputs["amount"] / inputs["spend"].abs()})


shopper = FeatureService(name="shopper", features=[habits, basket])
""",
    f"models/{MODEL}.yaml": f"""
name: {MODEL}
task: classification
entities: {{dataset: orders, columns: [customer, amount]}}
features: shopper
label: {{column: returned, delay: 3d}}
train: {{holdout: 2d, candidates: [{{trainer: lightgbm}}]}}
evaluate: {{objective: log_loss}}
predict: {{threshold: 0.5}}
""",
}


def rows_to_train_on(count: int = 300) -> pd.DataFrame:
    chance = np.random.default_rng(5)
    rows = pd.DataFrame(
        {
            "visits": chance.integers(0, 9, count).astype(float),
            "spend": chance.exponential(100, count),
            "tier": chance.choice(["gold", "blue"], count),
            "share": chance.random(count),
        }
    )
    rows["label"] = (rows["visits"] + chance.normal(0, 2, count) > 4).astype(float)
    rows.loc[chance.random(count) < 0.1, "spend"] = np.nan
    return rows


@dataclass
class Answering:
    """A server process, and how to ask it."""

    process: subprocess.Popen[str]
    url: str
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, headers=self.headers, timeout=120, trust_env=False)

    def predict(self, body: Any = None, model: str = MODEL, **headers: str) -> httpx.Response:
        asked = {"features": ROW} if body is None else body
        return self.client.post(f"/models/{model}/predict", json=asked, headers=headers)

    def served(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get("/models").json()["models"][0]
        return found

    def counted(self, meter: str) -> float:
        """Add up the samples of a meter whose name and labels begin like this."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(meter))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)


def until(true: Callable[[], Any], what: str = "it", seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


@dataclass
class Shop:
    """A project on disk whose model has three versions."""

    root: Path
    log: Path

    @property
    def project(self) -> Project:
        return load_project(self.root)

    @property
    def home(self) -> Path:
        return self.root / ".keepfit"

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(f"sqlite:///{self.home / 'mlflow.db'}", self.home / "artifacts")

    @property
    def ledger(self) -> Ledger:
        return Ledger(f"sqlite:///{self.home / 'ledger.db'}")

    def write(self, file: str, text: str) -> None:
        path = self.root / "feature_repo" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def point(self, alias: Alias, version: str | None, share: float | None = None) -> None:
        """Move an alias as a release does."""
        before = self.registry.alias(MODEL, alias)
        if before != version:
            self.registry.move_alias(MODEL, alias, version)
        run = f"test-{time.time_ns()}"
        self.ledger.record_deployment(
            Deployment(MODEL, alias, before, version, "anna", "because", None, run, share)
        )

    def champion(self, version: str) -> None:
        self.point(CHAMPION, version)

    def challenger(self, version: str | None, share: float | None = None) -> None:
        self.point(CHALLENGER, version, share)

    def register(self, seed: int, off: float = 0.0) -> str:
        """Register a version, whose reference rows may have other scores than it gives them."""
        rows = rows_to_train_on()
        frame = rows[list(FEATURES)]
        task = TrainingTask(
            frame, rows["label"].to_numpy(), "classification", ("tier",), {"n_estimators": 5 * seed}, seed, 1
        )
        model, made = train(task), self.root / "made" / str(seed)
        (made / "model").mkdir(parents=True)
        model.save(made / "model")
        reference = reference_sample(model, rows, FEATURES, seed)
        reference.assign(score=reference["score"] + off).to_parquet(made / "reference.parquet")
        rows.to_parquet(made / "training_set.parquet")
        evaluation = Evaluation(0, ({"log_loss": 0.4},), {}, None, None, None, 9, "2024-01-20", "2024-01-26")
        lineage = Lineage(
            f"run-{seed}", "2024-02-01T00:00:00+00:00", "pass", "lightgbm", "a/b", "d" * 64, 300, "a/b",
            "shopper", "r" * 16, "s" * 16, seed,
        )  # fmt: skip
        return register(
            self.registry,
            MODEL,
            made / "model",
            evaluation,
            lineage,
            params={},
            reference=made / "reference.parquet",
            training_set=made / "training_set.parquet",
        )

    def score(self, version: str, row: dict[str, Any]) -> float:
        return float(self.registry.load(MODEL, version).predict(pd.DataFrame([row]))[0])

    def publish_habits(self) -> None:
        from keepfit.backends.feature_store import FeatureStore

        rows = pd.DataFrame(
            {
                "customer": ["ann", "bob"],
                "seen_at": pd.to_datetime(["2024-01-01T10:00Z", "2024-01-01T11:00Z"]),
                "visits": [7, 1],
                "spend": [50.0, 200.0],
                "tier": ["gold", "blue"],
            }
        )
        rows.to_parquet(self.root / "habits.parquet")
        Lake(self.project.locations.lake).publish("habits", self.root / "habits.parquet")
        store = FeatureStore(self.project)
        store.register()
        store.materialize("habits", Window.parse("2024-01-01", "2024-01-02"))

    def logged(self) -> pd.DataFrame:
        """Return all rows of the prediction log."""
        files = sorted(self.home.glob(f"lake/online__{MODEL}/date=*/*.parquet"))
        return pd.concat([pd.read_parquet(file) for file in files]) if files else pd.DataFrame()

    @contextmanager
    def serving(self, *arguments: str, ready: bool = True, **environment: str) -> Iterator[Answering]:
        """Run `keepfit serve` in the block."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "keepfit", "serve", "--root", str(self.root), "--port", str(port)]
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [*command, *arguments], env=os.environ | environment, stdout=log, stderr=log, text=True
            )
        token = environment.get("KEEPFIT_SERVING_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answering = Answering(process, f"http://127.0.0.1:{port}", headers)
        try:
            until(lambda: self._answers(answering, "/ready" if ready else "/live"), "the server's start", 240)
            yield answering
        finally:
            answering.client.close()
            process.kill()
            process.wait(120)

    def _answers(self, answering: Answering, path: str) -> bool:
        assert answering.process.poll() is None, self.log.read_text()
        try:
            return answering.client.get(path).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A project whose version 1 is champion; versions 2 and 3 differ. No test makes 3 the champion."""
    root = tmp_path_factory.mktemp("shop")
    made = Shop(root, root / "server.log")
    for file, text in FILES.items():
        made.write(file, text)
    migrate(f"sqlite:///{made.home / 'ledger.db'}")
    made.registry.initialise()
    made.publish_habits()
    assert [made.register(seed) for seed in (1, 2, 3)] == ["1", "2", "3"]
    made.champion("1")
    return made


@pytest.fixture(scope="session")
def server(shop: Shop) -> Iterator[Answering]:
    """A server for all tests that leave it as it was."""
    with shop.serving() as answering:
        yield answering


@pytest.fixture
def as_begun(shop: Shop, server: Answering) -> Iterator[datetime]:
    """Begin with version 1 alone, and go back to it."""
    yield datetime.now(UTC)
    shop.champion("1")
    shop.challenger(None)
    until(lambda: begun_anew(server.served()), "the beginning")


def begun_anew(found: dict[str, Any]) -> bool:
    return (found["champion"]["version"], found["challenger"], found["problem"]) == ("1", None, None)
