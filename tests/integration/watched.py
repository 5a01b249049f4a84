"""A champion of the shop's 35th day, which has predicted until the 60th, under the monitoring."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from tests.integration.conftest import Shop

from keepfit.backends.model_registry import ModelRegistry
from keepfit.cli.access import local_access
from keepfit.ledger import Ledger, Publication, migrate
from keepfit.pipeline.monitoring import MonitorRun
from keepfit.pipeline.prediction import PredictionRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.pipeline.training import TrainingRun
from keepfit.spec import Window

START = datetime(2020, 1, 1, tzinfo=UTC)
DAYS, CHANGE, TRAINED = 60, 36, 35
MODEL = """
name: returns_soon
task: classification
entities: {dataset: orders, columns: [customer, amount]}
features: shopper
label: {column: returned, delay: 1d}
train:
  length: 14d
  holdout: 3d
  min_rows: 30
  candidates:
    - trainer: sklearn
      estimator: sklearn.linear_model.LogisticRegression
    - trainer: lightgbm
      params: {n_estimators: 20, min_child_samples: 10, num_leaves: 4}
evaluate: {objective: log_loss}
monitor:
  drift: {min_rows: 50, method: ks, columns: [visits]}
  performance: {min_rows: 50}
policy:
  rules:
    - RULE
  cooldown: 0d
"""
REGRET = "{rule: regret, cost: 0.1}"


def day(number: int) -> datetime:
    return START + pd.Timedelta(days=number).to_pytimedelta()


def rows() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Habits and orders; from one day on more visits mean fewer returns instead of more."""
    chance = np.random.default_rng(1)
    seen = pd.date_range(START, periods=DAYS, freq="D")
    customers = [f"c{number}" for number in range(20)]
    habits = pd.MultiIndex.from_product([seen, customers], names=["seen_at", "customer"]).to_frame(
        index=False
    )
    habits["visits"] = chance.integers(0, 9, len(habits))
    habits["spend"] = chance.exponential(20, len(habits)) + 1
    habits["tier"] = chance.choice(["gold", "plain"], len(habits))
    sign = np.where(habits["seen_at"] < day(CHANGE), 1, -1)
    chances = 1 / (1 + np.exp(-sign * (habits["visits"] - 4)))
    orders = pd.DataFrame(
        {
            "order_id": np.arange(len(habits)),
            "customer": habits["customer"],
            "ordered_at": habits["seen_at"] + pd.to_timedelta(chance.integers(1, 23, len(habits)), unit="h"),
            "amount": chance.exponential(30, len(habits)),
            "returned": (chance.random(len(habits)) < chances).astype(int),
        }
    )
    return habits, orders


class Watched:
    """The shop with a champion of the 35th day, which has predicted until the 60th."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    @property
    def at(self) -> Any:
        return self.shop.project.locations

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.at.ledger_url)

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(self.at.tracking_uri, self.at.artifacts)

    def ledger_bytes(self) -> bytes:
        kept: bytes = (self.at.home / "ledger.db").read_bytes()
        return kept

    def restore_ledger(self, kept: bytes) -> None:
        (self.at.home / "ledger.db").write_bytes(kept)

    def set_up(self, as_seen: Callable[[pd.DataFrame], pd.DataFrame] = lambda habits: habits) -> None:
        self.write(REGRET)
        self.at.home.mkdir(parents=True)
        migrate(self.at.ledger_url)
        self.registry.initialise()
        habits, orders = rows()
        for name, frame in {"habits": as_seen(habits), "orders": orders}.items():
            self.shop.publish(name, frame)
            self.ledger.record_publication(Publication(name, START, day(DAYS), 1, "d", 0, "first"))
        self.train(TRAINED, "first").deploy()
        self.predict(TRAINED, DAYS)

    def predict(self, first: int, last: int) -> None:
        window = Window(day(first), day(last))
        run = take_snapshot(self.shop.project, "p", window.key, model="returns_soon", window=window)
        PredictionRun(run).check_features()
        PredictionRun(run).predict()

    def write(self, rule: str, old: str = "", new: str = "") -> None:
        self.shop.write("models/returns_soon.yaml", MODEL.replace("RULE", rule).replace(old, new))

    def train(self, number: int, run_id: str) -> TrainingRun:
        settings = {"as_of": day(number).isoformat()}
        taken = take_snapshot(self.shop.project, "t", run_id, model="returns_soon", settings=settings)
        run = TrainingRun(taken)
        run.build_training_set()
        for index in (0, 1):
            run.train(index)
        run.evaluate()
        run.gate()
        run.register()
        return run

    def monitor(self, number: int, run_id: str) -> MonitorRun:
        window = Window(day(number), day(number + 7))
        taken = take_snapshot(self.shop.project, "m", run_id, model="returns_soon", window=window)
        run = MonitorRun(taken, local_access(self.at))
        run.join_labels()
        run.measure()
        run.detect_drift()
        return run
