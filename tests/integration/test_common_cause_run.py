"""Two models of one view, from the published rows to an incident and its answer: nothing here is made up."""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.integration.conftest import Shop, new_shop
from tests.integration.watched import START, day
from typer.testing import CliRunner

from keepfit.backends.feature_store import FeatureStore
from keepfit.backends.model_registry import ModelRegistry
from keepfit.cli.access import local_access
from keepfit.cli.app import app
from keepfit.ledger import Decision, Ledger, Publication, migrate
from keepfit.pipeline.monitoring import MonitorRun
from keepfit.pipeline.prediction import PredictionRun
from keepfit.pipeline.snapshot import Snapshot, take_snapshot
from keepfit.pipeline.training import TrainingRun
from keepfit.spec import Window

# What MLflow says of every dataset and every model, and Feast of each table.
pytestmark = pytest.mark.filterwarnings("ignore:.*(multiple ways|input example|fetch_arrow_table)")
MODEL = """
name: NAME
task: classification
entities: {dataset: orders, columns: [customer, amount]}
features: shopper
label: {column: returned, delay: 1d}
train:
  holdout: 3d
  min_rows: 30
  candidates: [{trainer: sklearn, estimator: sklearn.linear_model.LogisticRegression}]
evaluate: {objective: log_loss}
monitor: {drift: {min_rows: 50}, performance: {min_rows: 50}}
policy:
  rules: [{rule: drift_share, share: 0.5}, {rule: performance, worse_by: 0.4}]
  cooldown: COOLDOWN
"""
MODELS = ("returns_later", "returns_soon")
DAYS, TRAINED, LENGTH = 60, 25, 5
CALM, JUMP, AFTER, UNIT = (25, 30, 35, 40), 45, 50, 55
"""The first days of the windows: from JUMP on all columns move within their range, and at UNIT they are back,
with `spend` a thousand times what it was."""


def window(first: int) -> Window:
    return Window(day(first), day(first + LENGTH))


def habits() -> pd.DataFrame:
    chance = np.random.default_rng(1)
    seen = pd.date_range(START, periods=DAYS, freq="D")
    customers = [f"c{number}" for number in range(40)]
    frame = pd.MultiIndex.from_product([seen, customers], names=["seen_at", "customer"]).to_frame(index=False)
    moved, scaled = frame["seen_at"].between(day(JUMP), day(UNIT), "left"), frame["seen_at"] >= day(UNIT)
    frame["truly"] = chance.integers(0, 9, len(frame))
    frame["visits"] = np.where(moved, chance.integers(5, 9, len(frame)), frame["truly"])
    spend = chance.exponential(20, len(frame)) + 1
    frame["spend"] = np.where(moved, spend + 25, spend) * np.where(scaled, 1000, 1)
    likely = np.where(moved, 0.68, 0.5)
    frame["tier"] = np.where(chance.random(len(frame)) < likely, "gold", "plain")
    return frame


def orders() -> pd.DataFrame:
    chance, seen = np.random.default_rng(2), habits()
    likely = 1 / (1 + np.exp(4 - seen["truly"]))
    return pd.DataFrame(
        {
            "order_id": np.arange(len(seen)),
            "customer": seen["customer"],
            "ordered_at": seen["seen_at"] + pd.to_timedelta(chance.integers(1, 23, len(seen)), unit="h"),
            "amount": chance.exponential(30, len(seen)),
            "returned": (chance.random(len(seen)) < likely).astype(int),
        }
    )


class Pair:
    """The shop with two models that live on the same view."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.shop.project.locations.ledger_url)

    def set_up(self) -> None:
        """Train both, and let them predict and look at all windows before the jump."""
        self.shop.write("keepfit.yaml", "project: shop\ndatabase: sqlite\nfleet: {common_cause: 2}\n")
        self.write("7d")
        at = self.shop.project.locations
        at.home.mkdir(parents=True)
        migrate(at.ledger_url)
        ModelRegistry(at.tracking_uri, at.artifacts).initialise()
        for name, frame in {"habits": habits().drop(columns="truly"), "orders": orders()}.items():
            self.shop.publish(name, frame)
            self.ledger.record_publication(Publication(name, START, day(DAYS), 1, "d", 0, "first"))
        FeatureStore(self.shop.project).register()
        for model in MODELS:
            run = self.train(model, TRAINED, "first")
            run.train(0)
            run.evaluate()
            run.gate()
            run.register()
            run.deploy()
            for first in (*CALM, JUMP, AFTER, UNIT):
                predicted = PredictionRun(self.taken("predict", model, window(first)))
                predicted.check_features()
                predicted.predict()
            assert {self.monitor(model, first).verdict for first in CALM} == {"keep"}

    def write(self, cooldown: str) -> None:
        for model in MODELS:
            text = MODEL.replace("NAME", model).replace("COOLDOWN", cooldown)
            self.shop.write(f"models/{model}.yaml", text)

    def taken(self, verb: str, model: str, window: Window) -> Snapshot:
        return take_snapshot(self.shop.project, f"{model}__{verb}", window.key, model=model, window=window)

    def train(self, model: str, number: int, run_id: str) -> TrainingRun:
        settings = {"as_of": day(number).isoformat()}
        run = TrainingRun(
            take_snapshot(self.shop.project, f"{model}__train", run_id, model=model, settings=settings)
        )
        run.build_training_set()
        return run

    def monitor(self, model: str, first: int) -> Decision:
        """Look at a window, as a run of `<model>__monitor` would."""
        run = MonitorRun(
            self.taken("monitor", model, window(first)), local_access(self.shop.project.locations)
        )
        assert run.wait_for() == ()
        for step in (run.join_labels, run.measure, run.detect_drift, run.challenge):
            step()
        made = self.ledger.decision(run.decide()["key"])
        assert made is not None
        return made

    def answer(self, first: int, word: str) -> str:
        """Answer on the command line, and start what that releases."""
        key = f"habits:{window(first).key}"
        given = ["incidents", key, "--answer", word, "--why", "asked the till", "--start"]
        done = CliRunner().invoke(app, [*given, "--root", str(self.shop.root)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    def trained(self, model: str) -> list[str]:
        """Name the runs that a signal started."""
        return [each.run_id for each in self.ledger.trainings(model) if each.run_id != "first"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))
        made = Pair(new_shop(tmp_path_factory.mktemp("shop"), patch))
        made.set_up()
        yield made


@pytest.fixture
def pair(house: Pair) -> Iterator[Pair]:
    """The same, with a ledger and a registry of its own."""
    kept = {file: file.read_bytes() for file in house.shop.project.locations.home.glob("*.db")}
    yield house
    for file, content in kept.items():
        file.write_bytes(content)
    house.write("7d")


def dropped(pair: Pair, model: str, run_id: str) -> Any:
    run = pair.train(model, DAYS, run_id)
    return run.folder.read("build_training_set")["dropped"].get("in a window of broken data", 0)


def test_a_view_that_jumps_is_one_incident_of_both_models_though_nothing_was_ever_calibrated(
    pair: Pair,
) -> None:
    made = [pair.monitor(model, JUMP) for model in MODELS]
    assert [each.verdict for each in made] == ["held", "held"], made[0].reason
    (incident,) = pair.ledger.incidents()
    assert (incident.view, incident.models, incident.window) == ("habits", 2, window(JUMP))
    assert set(incident.columns) == {"visits", "spend"}
    assert "visits jumped from the window before (drift " in incident.reason
    assert [each.run_id for each in made] == [None, None]
    assert [pair.trained(model) for model in MODELS] == [[], []]


def test_a_fault_starts_nothing_and_its_window_is_left_out_of_later_trainings(pair: Pair) -> None:
    for model in MODELS:
        pair.monitor(model, JUMP)
        assert dropped(pair, model, "unanswered") == 0
    told = " ".join(pair.answer(JUMP, "fault").split())
    assert "No training of the models it held is started: 2." in told
    assert [pair.trained(model) for model in MODELS] == [[], []]
    assert [dropped(pair, model, "fault") for model in MODELS] == [200, 200]


def test_a_change_that_is_real_trains_each_held_model_once_and_is_asked_about_no_more(pair: Pair) -> None:
    for model in MODELS:
        pair.monitor(model, JUMP)
    told = " ".join(pair.answer(JUMP, "real").split())
    assert "The models it held are trained, each once: 2." in told
    started = f"decision__{window(JUMP).key}"
    assert [pair.trained(model) for model in MODELS] == [[started], [started]]
    assert [dropped(pair, model, "real") for model in MODELS] == [0, 0]
    for model in MODELS:
        after = pair.monitor(model, AFTER)
        assert (after.verdict, after.incidents) == ("keep", ()), after.reason
    assert len(pair.ledger.incidents()) == 1


def test_another_unit_blocks_both_in_one_incident_and_is_trained_on_by_nobody(pair: Pair) -> None:
    made = [pair.monitor(model, UNIT) for model in MODELS]
    assert [each.verdict for each in made] == ["blocked", "blocked"]
    said = "broken data is never trained on: spend holds what was never there before in 100% of its values: "
    assert all(each.reason.startswith(said) for each in made), made[0].reason
    (incident,) = pair.ledger.incidents()
    assert (incident.view, incident.columns) == ("habits", ("spend",))
    assert [dropped(pair, model, "blocked") for model in MODELS] == [160, 160]
    pair.answer(UNIT, "real")
    assert [dropped(pair, model, "called real") for model in MODELS] == [0, 0]
    assert [pair.trained(model) for model in MODELS] == [[], []], "a blocked window starts no training"
