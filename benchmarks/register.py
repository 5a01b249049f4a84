"""Register a trained model and make it live: keepfit's way against MLflow's default.

`.venv/bin/python benchmarks/register.py` (3 minutes) trains one LightGBM model and puts it, five times by
turns, into two MLflow databases: with `mlflow.lightgbm.log_model(..., registered_model_name=...)` and an
alias, as MLflow's documentation does; and with keepfit's register and deploy. Keepfit's also keeps the
training set's digest, a sample of its rows and the SHA-256 of each file, loads what it has registered, holds
its scores against the recorded ones and records the move in its ledger.
"""

import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightgbm
import numpy as np
import pandas as pd

from keepfit.backends.model_registry import ModelRegistry
from keepfit.backends.trainers.lightgbm import train
from keepfit.ledger import Ledger, migrate
from keepfit.plugins import TrainingTask
from keepfit.steps.deploy import Move, deploy
from keepfit.steps.evaluate import Evaluation
from keepfit.steps.register import Lineage, reference_sample, register

ROWS, COLUMNS, ROUNDS, MODEL = 20_000, 20, 5, "returns"
PARAMS: dict[str, Any] = {"n_estimators": 200, "num_leaves": 31}

LINEAGE = Lineage(
    run_id="",
    as_of="2024-02-01T00:00:00+00:00",
    verdict="pass",
    trainer="lightgbm",
    data_window="2024-01-01/2024-01-15",
    data_digest="d" * 64,
    rows=ROWS,
    holdout="2024-01-15/2024-01-20",
    feature_service="service",
    registry_digest="r" * 16,
    spec_digest="s" * 16,
    seed=7,
)


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock and of CPU, those of processes it started included."""

    wall: float
    cpu: float


def spent(work: Callable[[], None]) -> Spent:
    """Do a piece of work and time it."""
    before, began = os.times(), time.perf_counter()
    work()
    wall, after = time.perf_counter() - began, os.times()
    return Spent(wall, sum(after[:4]) - sum(before[:4]))


def rows() -> pd.DataFrame:
    """Make rows to train on."""
    chance = np.random.default_rng(7)
    frame = pd.DataFrame(chance.normal(size=(ROWS, COLUMNS)), columns=[f"f{at}" for at in range(COLUMNS)])
    label = (frame["f0"] + chance.normal(size=ROWS) > 0).astype(float)
    return frame.assign(
        label=label, event_time=pd.date_range("2024-01-01", periods=ROWS, freq="min", tz="UTC")
    )


class Default:
    """MLflow's own way."""

    def __init__(self, home: Path, frame: pd.DataFrame) -> None:
        """Make a database and train."""
        ModelRegistry(f"sqlite:///{home / 'mlflow.db'}", home).initialise()
        self._uri, self._home = f"sqlite:///{home / 'mlflow.db'}", home
        features = frame.drop(columns=["label", "event_time"])
        self._booster = lightgbm.train(
            {"objective": "binary", "num_leaves": PARAMS["num_leaves"], "verbose": -1},
            lightgbm.Dataset(features, frame["label"]),
            PARAMS["n_estimators"],
        )

    def __call__(self, _: int) -> None:
        """Log, register, point an alias."""
        import mlflow.lightgbm

        mlflow.set_tracking_uri(self._uri)
        mlflow.set_registry_uri(self._uri)
        if mlflow.get_experiment_by_name(MODEL) is None:
            mlflow.create_experiment(MODEL, artifact_location=(self._home / "artifacts").as_uri())
        mlflow.set_experiment(MODEL)
        with mlflow.start_run():
            mlflow.log_params(PARAMS)
            mlflow.log_metrics({"log_loss": 0.4})
            logged = mlflow.lightgbm.log_model(self._booster, name="model", registered_model_name=MODEL)
        client = mlflow.MlflowClient()
        client.set_registered_model_alias(MODEL, "champion", logged.registered_model_version)


class Keepfit:
    """Keepfit's way."""

    def __init__(self, home: Path, frame: pd.DataFrame) -> None:
        """Make the databases, train, and write what a training run leaves."""
        self._home, self._frame = home, frame
        self._registry = ModelRegistry(f"sqlite:///{home / 'mlflow.db'}", home / "artifacts")
        self._registry.initialise()
        migrate(f"sqlite:///{home / 'ledger.db'}")
        self._ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
        features = frame.drop(columns=["label", "event_time"])
        label = frame["label"].to_numpy(np.float64)
        self._model = train(TrainingTask(features, label, "classification", (), PARAMS, 7, 1))
        (home / "model").mkdir()
        self._model.save(home / "model")
        frame.to_parquet(home / "training_set.parquet")
        named = dict.fromkeys(features.columns, "float64")
        reference_sample(self._model, frame, named, 7).to_parquet(home / "reference.parquet")

    def __call__(self, number: int) -> None:
        """Register and deploy."""
        version = register(
            self._registry,
            MODEL,
            self._home / "model",
            Evaluation(0, ({"log_loss": 0.4},), {}, None, None, None, ROWS, "2024-01-20", "2024-01-26"),
            replace(LINEAGE, run_id=f"run-{number}"),
            params=PARAMS,
            reference=self._home / "reference.parquet",
            training_set=self._home / "training_set.parquet",
        )
        champion = self._registry.champion(MODEL)
        move = Move(MODEL, version, champion, "benchmark", "it is better", f"run-{number}")
        deploy(self._registry, self._ledger, move, self._home / "locks")


def main() -> None:
    """Print a table."""
    warnings.simplefilter("ignore")
    with TemporaryDirectory(prefix="keepfit-benchmark-") as folder:
        frame, ways = rows(), {}
        for name, way in {"MLflow's default": Default, "keepfit": Keepfit}.items():
            home = Path(folder) / way.__name__
            home.mkdir()
            ways[name] = way(home, frame)
            ways[name](-1)
        times: dict[str, list[Spent]] = {name: [] for name in ways}
        for number in range(ROUNDS):
            for name, do in ways.items():
                times[name].append(spent(lambda do=do, number=number: do(number)))  # type: ignore[misc]
    print("| register and deploy, median of 5 | wall s | CPU s |\n|---|---|---|")
    medians = {
        name: (statistics.median(each.wall for each in of), statistics.median(each.cpu for each in of))
        for name, of in times.items()
    }
    for name, (wall, cpu) in medians.items():
        print(f"| {name} | {wall:.2f} | {cpu:.2f} |")
    (theirs, their_cpu), (ours, our_cpu) = medians.values()
    print(f"| MLflow's default / keepfit | {theirs / ours:.1f} | {their_cpu / our_cpu:.1f} |")


if __name__ == "__main__":
    main()
