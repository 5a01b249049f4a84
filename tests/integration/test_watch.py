"""A new champion under watch: real registry, real ledger, real feature store, real lake."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from keepfit import plugins
from keepfit.backends import model_files
from keepfit.backends.model_registry import ModelRegistry
from keepfit.backends.version import VersionDetails
from keepfit.ledger import Deployment, Ledger, migrate
from keepfit.pipeline.aliases import Aliases
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.pipeline.watching import WatchRun
from keepfit.spec import ModelSpec, Window
from keepfit.spec.promotion import WatchSpec
from keepfit.steps.deploy import Move
from keepfit.steps.watch import hold, looks, taken_back, watcher

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(multiple ways|input example)", "ignore:fetch_arrow_table:DeprecationWarning"
)
START = datetime(2020, 1, 1, tzinfo=UTC)
FEATURES = ("visits", "spend", "tier", "share")
PER_DAY = 60
MODEL = """
name: returns_soon
task: classification
entities: {dataset: orders, columns: [customer, amount]}
features: shopper
label: {column: returned, delay: 1d}
train: {holdout: 2d, candidates: [{trainer: lightgbm}]}
evaluate: {objective: log_loss}
watch: {period: 14d, min_rows: 300}
"""


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def rows(first: int, last: int) -> pd.DataFrame:
    """The orders of some days, with their features and whether they came back."""
    chance = np.random.default_rng([first, last])
    count = (last - first) * PER_DAY
    visits = chance.normal(0, 1.5, count)
    return pd.DataFrame(
        {
            "order_id": np.arange(first * PER_DAY, last * PER_DAY),
            "event_time": pd.date_range(day(first), periods=count, freq="24min", unit="us"),
            "visits": visits,
            "spend": chance.exponential(20, count),
            "tier": chance.choice(["gold", "plain"], count),
            "share": chance.random(count),
            "label": (chance.random(count) < 1 / (1 + np.exp(-visits))).astype(float),
        }
    )


@dataclass(frozen=True)
class Watched:
    """The shop with versions that were trained on the right labels, or on the wrong ones."""

    shop: Any
    scratch: Path

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.shop.project.locations.ledger_url)

    @property
    def registry(self) -> ModelRegistry:
        at = self.shop.project.locations
        return ModelRegistry(at.tracking_uri, at.artifacts)

    def version(
        self, name: str, as_of: int, *, harmful: bool = False, features: tuple[str, ...] = FEATURES
    ) -> str:
        """Train and register a version; a harmful one takes those that come back for those that stay."""
        known = rows(as_of - 20, as_of)
        label = (1 - known["label"] if harmful else known["label"]).to_numpy()
        frame = known[list(features)]
        categorical = tuple(each for each in features if each == "tier")
        learner = "sklearn.linear_model.LogisticRegression"
        task = plugins.TrainingTask(frame, label, "classification", categorical, {}, 7, 1, learner)
        model, folder = plugins.find("trainers", "sklearn")(task), self.scratch / name
        folder.mkdir()
        model.save(folder)
        reference = self.scratch / f"{name}.parquet"
        frame.assign(score=model.predict(frame), label=known["label"]).to_parquet(reference)
        details = VersionDetails(
            task="classification",
            features=model_files.read_card(folder).coding.features,
            files=model_files.digests(folder),
            reference_sha256=model_files.sha256(reference),
            metrics={"log_loss": 0.5},
            tags={"keepfit.run_id": name, "keepfit.as_of": day(as_of).isoformat()},
        )
        sent = {"reference": reference, "training_set": reference}
        return self.registry.register("returns_soon", folder, details, **sent, digest="0" * 64)

    def promote(self, version: str, decision: str | None = None) -> None:
        spec = self.shop.project.model("returns_soon")
        aliases = Aliases(self.shop.project, spec, self.shop.project.spec)
        run = f"promotion of {version}"
        live = aliases.at("champion")
        aliases.move(Move("returns_soon", version, live, "returns_soon__train", "a test", run, decision))

    def predict(self, version: str, first: int, last: int, without: str = "label") -> None:
        """Publish the orders of some days with their labels, and what a version says of them."""
        found = rows(first, last)
        score = self.registry.load("returns_soon", version).predict(found)
        stamp = {"version": version, "role": "champion", "run_id": "p"}
        self.shop.publish(
            "predictions__returns_soon",
            found.drop(columns=list({"label", without})).assign(score=score, **stamp),
        )
        orders = found[["order_id", "event_time", "label"]].rename(columns={"event_time": "ordered_at"})
        orders = orders.assign(customer="c1", amount=1.0, returned=orders["label"].astype("int64"))
        self.shop.publish("orders", orders.drop(columns="label"))

    def watch(self, first: int, last: int, run_id: str | None = None) -> dict[str, Any]:
        window = Window(day(first), day(last))
        name = run_id or f"days {first} to {last}"
        model = "returns_soon"
        return WatchRun(
            take_snapshot(self.shop.project, f"{model}__monitor", name, model=model, window=window)
        ).watch()

    @property
    def moves(self) -> list[tuple[str | None, str | None]]:
        return [(each.from_version, each.to_version) for each in self.ledger.deployments("returns_soon")]


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make MLflow's database once: it takes seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    ModelRegistry(f"sqlite:///{file}", file.parent / "artifacts").initialise()
    return file


@pytest.fixture
def watched(shop: Any, registered: Path, tmp_path: Path) -> Watched:
    shop.write("models/returns_soon.yaml", MODEL)
    at = shop.project.locations
    at.home.mkdir(parents=True)
    with (
        closing(sqlite3.connect(registered)) as made_once,
        closing(sqlite3.connect(at.home / "mlflow.db")) as fresh,
    ):
        made_once.backup(fresh)
    migrate(at.ledger_url)
    shop.habits(("c1", "1", 1, 1.0, "gold"))
    shop.store().register()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Watched(shop, scratch)


def test_a_version_that_does_harm_is_rolled_back_once_and_never_promoted_by_the_same_decision(
    watched: Watched,
) -> None:
    good, bad = watched.version("good", 25), watched.version("bad", 30, harmful=True)
    watched.promote(good)
    watched.promote(bad, decision="drift in January")
    watched.predict(bad, 30, 44)
    told = watched.watch(37, 44)
    assert told["rolled_back_to"] == good
    assert told["value"] > told["former"] + told["low"] > told["former"]
    # 14 days of predictions, but no label of the last one is known, and half of those of the day before it.
    assert told["rows"] == 13 * PER_DAY
    assert told["reason"] == (
        f"version {bad} does harm: log_loss {told['value']:.4f} on {told['rows']} labelled rows of 13 days, "
        f"{told['former']:.4f} by the version before it (difference +{told['value'] - told['former']:.4f}, "
        f"95.0% interval [+{told['low']:.4f}, +{told['high']:.4f}]): it is worse by more than 2%"
    )
    assert watched.registry.champion("returns_soon") == good
    last = watched.ledger.deployments("returns_soon")[-1]
    assert (last.who, last.why) == (watcher("returns_soon"), told["reason"])
    expected = [(None, good), (good, bad), (bad, good)]
    assert watched.moves == expected

    # The same run again says the same; another says that this champion was gone back to. Nothing moves.
    assert watched.watch(37, 44)["rolled_back_to"] == good
    again = watched.watch(37, 44, "again")
    assert (again["rolled_back_to"], again["version"]) == (None, good)
    assert again["reason"] == "it has been champion before, so it was chosen to go back to"
    assert watched.moves == expected
    moves = watched.ledger.deployments("returns_soon")
    refused = f"version {bad} was rolled back: {told['reason']}"
    assert taken_back(moves, bad, None) == refused
    assert taken_back(moves, "7", "drift in January") == refused.replace(
        "was rolled", ", which the same decision asked for, was rolled"
    ).replace(f"{bad} ,", f"{bad},")
    assert taken_back(moves, "7", "drift in March") is None
    assert taken_back(moves, "7", None) is None


def test_a_version_that_does_no_harm_stays(watched: Watched) -> None:
    good, better = watched.version("good", 25), watched.version("better", 30)
    watched.promote(good)
    watched.promote(better)
    watched.predict(better, 30, 44)
    told = watched.watch(37, 44)
    assert told["rolled_back_to"] is None
    assert "it is not shown to be worse by more than 2%" in told["reason"]
    assert watched.moves == [(None, good), (good, better)]


def test_too_few_labels_too_few_days_and_the_end_of_the_watch_judge_nothing(watched: Watched) -> None:
    good, bad = watched.version("good", 25), watched.version("bad", 30, harmful=True)
    watched.promote(good)
    assert watched.watch(37, 44)["reason"] == "no version was live before it"
    watched.promote(bad)
    watched.predict(bad, 30, 44)
    assert watched.watch(27, 34)["reason"] == "180 labelled rows, 300 needed".replace("180", f"{3 * PER_DAY}")
    watched.shop.write("models/returns_soon.yaml", MODEL.replace("300", "30"))
    assert watched.watch(27, 34, "few days")["reason"].startswith("labelled rows of 3 days, ")
    assert watched.watch(51, 58)["reason"] == "its watch of 14 days has ended"
    watched.shop.write("models/returns_soon.yaml", MODEL.replace("watch:", "# watch:"))
    assert watched.watch(37, 44, "unwatched")["reason"] == "models/returns_soon.yaml has no `watch`"
    assert watched.moves == [(None, good), (good, bad)]


def test_a_former_version_that_cannot_be_scored_leaves_the_champion_where_it_is(watched: Watched) -> None:
    other = watched.version("other", 25, features=("visits", "share"))
    bad = watched.version("bad", 30, harmful=True)
    watched.promote(other)
    watched.promote(bad)
    watched.predict(bad, 30, 44, without="share")
    assert watched.watch(37, 44)["reason"] == (
        f"version {other} cannot be held against it: "
        f"its features share are not among those that version {bad} saw"
    )
    assert watched.registry.champion("returns_soon") == bad


def scored(seed: int, worse: float, days: int = 20) -> tuple[pd.DataFrame, Any]:
    """Rows of which the former version knows the true chance, and the new one less and less."""
    chance = np.random.default_rng(seed)
    truth = chance.normal(0, 1, 40 * days)
    label = (chance.random(len(truth)) < 1 / (1 + np.exp(-truth))).astype(float)
    times = pd.date_range(START, periods=len(truth), freq="36min", unit="us")
    seen, noise = 1 / (1 + np.exp(-truth)), chance.normal(0, 1, len(truth))
    score = 1 / (1 + np.exp(-(truth + worse * noise)))
    return pd.DataFrame({"event_time": times, "label": label, "score": score}), seen


def test_an_equal_version_is_hardly_ever_called_harmful_and_a_bad_one_nearly_always() -> None:
    spec, rule = ModelSpec.model_validate(_spec()), WatchSpec(min_rows=100)
    equal = WatchSpec(min_rows=100, worse_by=0.0)
    false_alarms = found = 0
    for seed in range(40):
        rows_, seen = scored(seed, 0.0)
        swapped = np.clip(seen + np.random.default_rng(seed + 99).normal(0, 0.02, len(seen)), 0.01, 0.99)
        first, second = (swapped, seen) if seed % 2 else (seen, swapped)
        false_alarms += hold(rows_.assign(score=first), second, spec, equal, 4).harmful
        found += hold(*scored(seed, 2.0), spec, rule, 4).harmful
    assert false_alarms <= 3
    assert found >= 38


def test_a_period_is_shared_out_among_its_looks() -> None:
    week = Window(day(0), day(7))
    assert looks(WatchSpec(), week) == 4
    assert looks(WatchSpec(period=timedelta(days=3)), week) == 1
    rows_, seen = scored(1, 0.6)
    spec = ModelSpec.model_validate(_spec())
    one, many = (hold(rows_, seen, spec, WatchSpec(min_rows=100), times) for times in (1, 28))
    assert one.low is not None
    assert many.low is not None
    assert many.low < one.low


def test_a_version_that_a_human_rolled_back_is_not_refused_by_the_watch() -> None:
    at = day(1)
    move = Deployment("m", "champion", "1", "2", "ann", "", "d", "r", None, at)
    back = replace(move, from_version="2", to_version="1", who="ann", decision_key=None)
    assert taken_back([move, back], "2", "d") is None
    assert taken_back([move, replace(back, who=watcher("m"))], "2", None) is not None


def _spec() -> dict[str, Any]:
    import yaml

    spec: dict[str, Any] = yaml.safe_load(MODEL)
    return spec
