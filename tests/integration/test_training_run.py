"""Training and prediction runs of a small project: Feast, the lake, MLflow and the ledger are real."""

import json
import os
import signal
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from typer.testing import CliRunner

from keepfit.backends import model_files
from keepfit.backends.model_registry import ModelRegistry
from keepfit.backends.sketches import read_sketches
from keepfit.cli.app import app
from keepfit.cli.telling import tell
from keepfit.errors import ConfError, DeploymentError, EditError, NotReadyError, RegistryError, TrainingError
from keepfit.ledger import Decision, Deployment, Ledger, Publication, migrate
from keepfit.pipeline.applying import ApplyRun
from keepfit.pipeline.approval import ApprovalRun
from keepfit.pipeline.folder import RunFolder
from keepfit.pipeline.planning import make_plan
from keepfit.pipeline.prediction import PredictionRun
from keepfit.pipeline.snapshot import Snapshot, open_snapshot, take_snapshot
from keepfit.pipeline.training import TrainingRun
from keepfit.spec import Window
from keepfit.steps.importance import Importances
from keepfit.steps.watch import watcher

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

MODEL = """
name: returns_soon
task: classification
entities: {dataset: orders, columns: [customer, amount], where: amount > 1}
features: shopper
label: {column: returned, delay: 1d}
train:
  holdout: 10d
  min_rows: 100
  candidates:
    - trainer: lightgbm
      params: {n_estimators: 40, min_child_samples: 10, learning_rate: 0.05}
      search: {space: {num_leaves: {low: 3, high: 15}}, trials: 4, patience: 3}
    - trainer: sklearn
      estimator: sklearn.linear_model.LogisticRegression
evaluate:
  objective: log_loss
  metrics: [roc_auc]
  gate:
    latency_ms: 10_000
    size_mb: 50
    slices: [{column: customer, min_rows: 5, floors: {log_loss: 9}}]
predict: {batch_rows: 500}
"""
START = pd.Timestamp("2020-01-01", tz="UTC")
STEPS = ("build_training_set", "train 0", "train 1", "evaluate", "gate", "register", "deploy", "verify")


def habits(days: int) -> pd.DataFrame:
    chance = np.random.default_rng(1)
    customers = [f"c{number}" for number in range(40)]
    seen = pd.date_range(START, periods=days, freq="D")
    frame = pd.MultiIndex.from_product([seen, customers], names=["seen_at", "customer"]).to_frame(index=False)
    frame["visits"] = chance.integers(0, 9, len(frame))
    frame["spend"] = chance.exponential(20, len(frame)) + 1
    frame["tier"] = chance.choice(["gold", "silver", "plain"], len(frame))
    return frame


def orders(days: int) -> pd.DataFrame:
    chance = np.random.default_rng(2)
    seen = habits(days)
    hours = pd.to_timedelta(chance.integers(1, 23, len(seen)), unit="h")
    frame = pd.DataFrame(
        {
            "order_id": np.arange(len(seen)),
            "customer": seen["customer"],
            "ordered_at": seen["seen_at"] + hours,
            "amount": chance.exponential(30, len(seen)),
        }
    )
    logit = 0.4 * (seen["visits"] - 4) + 2.0 * (seen["tier"] == "gold") - 1
    frame["returned"] = (chance.random(len(seen)) < 1 / (1 + np.exp(-logit))).astype(int)
    return frame


@dataclass(frozen=True)
class Store:
    """The shop, published, with an empty registry and ledger."""

    shop: Any

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.shop.project.locations.ledger_url)

    @property
    def registry(self) -> ModelRegistry:
        locations = self.shop.project.locations
        return ModelRegistry(locations.tracking_uri, locations.artifacts)

    def publish(self, days: int) -> None:
        self.shop.publish("habits", habits(days))
        self.shop.publish("orders", orders(days))
        end = START + pd.Timedelta(days=days)
        for dataset in ("habits", "orders"):
            made = Publication(dataset, START.to_pydatetime(), end.to_pydatetime(), 1, "d", 0, f"i{days}")
            self.ledger.record_publication(made)

    def decide(self, model: str, verdict: Any = "retrain", run_id: str | None = None) -> Decision:
        """Record a decision about the window that ends on the 60th day."""
        end = (START + pd.Timedelta(days=60)).to_pydatetime()
        window = Window(end - pd.Timedelta(days=7), end)
        key = f"{model}:{verdict}:{window.key}"
        made = Decision(
            key, model, "1", window.start, window.end, verdict, "drift", "3 of 4 drifted", {}, run_id, "w"
        )
        return self.ledger.decide(made)

    def snapshot(self, run_id: str, day: int = 60, **settings: Any) -> Snapshot:
        as_of = (START + pd.Timedelta(days=day)).isoformat()
        settings = {"as_of": as_of, "reason": "a test", "promotion": "auto", "decision": None, **settings}
        return take_snapshot(
            self.shop.project, "returns_soon__train", run_id, model="returns_soon", settings=settings
        )

    def train(self, run_id: str, day: int = 60, **settings: Any) -> RunFolder:
        """Run all steps."""
        snapshot = self.snapshot(run_id, day, **settings)
        for step in STEPS:
            take(snapshot.folder.path, step)
        return snapshot.folder

    def predict(self, run_id: str, day: int, **settings: Any) -> PredictionRun:
        window = Window.parse(*(str(START + pd.Timedelta(days=each)) for each in (day, day + 1)))
        snapshot = take_snapshot(
            self.shop.project,
            "returns_soon__predict",
            run_id,
            model="returns_soon",
            window=window,
            settings=settings,
        )
        return PredictionRun(snapshot)

    def predictions(self) -> pd.DataFrame:
        rows: pd.DataFrame = self.shop.lake.dataset("predictions__returns_soon").to_table().to_pandas()
        return rows


def take(folder: Path, step: str) -> Any:
    """Take one step the way a task does: from the snapshot on disk."""
    name, *index = step.split()
    return getattr(TrainingRun(open_snapshot(folder)), name)(*map(int, index))


@pytest.fixture(scope="module")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make MLflow's database once: it takes seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    ModelRegistry(f"sqlite:///{file}", file.parent / "artifacts").initialise()
    return file


@pytest.fixture
def store(shop: Any, empty_registry: Path) -> Store:
    shop.write("models/returns_soon.yaml", MODEL)
    locations = shop.project.locations
    locations.home.mkdir(parents=True)
    with (
        closing(sqlite3.connect(empty_registry)) as made_once,
        closing(sqlite3.connect(locations.home / "mlflow.db")) as fresh,
    ):
        made_once.backup(fresh)
    migrate(locations.ledger_url)
    made = Store(shop)
    made.publish(80)
    return made


def test_a_decision_that_asks_for_no_such_training_is_refused_before_anything_is_written(
    store: Store,
) -> None:
    other, calm = store.decide("some_other"), store.decide("returns_soon", "keep")
    complaints = {
        "returns_soon:1:w": "The decision 'returns_soon:1:w' is not in the ledger.",
        other.key: f"The decision {other.key!r} is about the model 'some_other', not 'returns_soon'.",
        calm.key: f"The decision {calm.key!r} asks for no training: its verdict is 'keep' (3 of 4 drifted).",
    }
    for key, complaint in complaints.items():
        with pytest.raises(ConfError) as refused:
            store.snapshot("refused", decision=key)
        assert str(refused.value) == (
            f"{complaint} `keepfit decisions returns_soon` lists those there are. "
            "To train for a reason of your own, leave `decision` out and give a `reason`."
        )
    assert not (store.shop.project.locations.runs / "returns_soon__train").exists()
    assert store.ledger.trainings("returns_soon") == []


def test_a_decision_is_no_reason_for_another_run_or_another_moment_than_its_own(store: Store) -> None:
    asked = store.decide("returns_soon", run_id="decision__1")
    with pytest.raises(ConfError, match="asks for the run 'decision__1', not 'another'"):
        store.snapshot("another", decision=asked.key)
    with pytest.raises(ConfError) as refused:
        store.snapshot("decision__1", 59, decision=asked.key)
    assert str(refused.value).startswith(
        f"The decision {asked.key!r} asks for a training as of 2020-03-01T00:00:00+00:00, "
        "not 2020-02-29T00:00:00+00:00. "
    )
    assert not (store.shop.project.locations.runs / "returns_soon__train").exists()
    taken = store.snapshot("decision__1", decision=asked.key)
    assert store.snapshot("decision__1", decision=asked.key).folder.path == taken.folder.path


def test_the_first_training_goes_all_the_way_to_a_champion(store: Store) -> None:
    asked = store.decide("returns_soon", run_id="train-1")
    folder = store.train("train-1", decision=asked.key)
    assert folder.read("gate")["verdict"] == "pass"
    assert "than the baseline's" in folder.read("gate")["reasons"][0]
    assert {check["kind"] for check in folder.read("gate")["checks"]} == {
        "latency",
        "size",
        "baseline",
        "floor",
    }
    assert folder.read("gate")["reasons"][-1] == "log_loss keeps its floor in each of 40 slices of customer"
    evaluation = folder.read("evaluation")
    assert 0 < evaluation["latency_ms"] < 10_000
    assert 0 < evaluation["size_mb"] < 50
    assert set(evaluation["intervals"]) == {"log_loss", "roc_auc"}
    assert len(evaluation["slices"]) == 40
    assert {each["column"] for each in evaluation["slices"]} == {"customer"}
    assert folder.read("registered") == {"version": "1", "verdict": "pass"}
    assert folder.read("deployed") == {"version": "1", "skipped": None}
    assert folder.read("verified") == {"champion": "1"}
    (training,) = store.ledger.trainings("returns_soon")
    assert (training.run_id, training.version, training.verdict) == ("train-1", "1", "pass")
    assert training.decision_key == asked.key
    (moved,) = store.ledger.deployments("returns_soon")
    assert moved.why.startswith("a test; log_loss ")
    assert (moved.who, moved.run_id) == ("returns_soon__train", "train-1")


def test_a_feature_whose_column_came_later_is_told_in_full(store: Store) -> None:
    seen, cut = habits(60), START + pd.Timedelta(days=40)
    file = store.shop.root / "part.parquet"
    seen[seen["seen_at"] < cut].drop(columns="tier").to_parquet(file, index=False)
    store.shop.lake.publish("habits", file, columns="replace")
    seen[seen["seen_at"] >= cut].to_parquet(file, index=False)
    late = Window(cut.to_pydatetime(), (cut + pd.Timedelta(days=20)).to_pydatetime())
    store.shop.lake.publish("habits", file, time_column="seen_at", window=late)
    snapshot = store.snapshot("t")
    built = TrainingRun(snapshot).build_training_set()
    said = (
        "tier of the view habits has no value in 1,600 of 2,400 published rows of habits, from 2020-01-01 "
        "00:00 to 2020-02-09 00:00: there it is missing for the model, too."
    )
    first, *more = tell("build_training_set", built, snapshot)
    assert first == "2,297 labelled rows, 2020-01-01 to 2020-02-28, with 4 features"
    assert more[-1] == f"WARNING {said}"


def test_labelled_rows_between_training_and_holdout_are_told(store: Store) -> None:
    folder = store.train("train-1")
    trained, judged = folder.read("train_0"), folder.read("evaluation")["rows"]
    between = folder.read("build_training_set")["rows"] - trained["rows"] - judged
    assert between > 0
    assert [*tell("train", trained, store.snapshot("t"))][1:] == [
        f"{between:,} more rows: label not known yet when the holdout begins"
    ]


def test_the_version_knows_its_lineage(store: Store) -> None:
    folder = store.train("train-1")
    built, details = folder.read("build_training_set"), store.registry.details("returns_soon", "1")
    tags = details.tags
    assert tags["keepfit.data_digest"] == built["digest"]
    assert tags["keepfit.data_digest"] == model_files.sha256(folder.file("training_set.parquet"))
    assert tags["keepfit.registry_digest"] == built["registry_digest"]
    assert tags["keepfit.spec_digest"] == store.shop.project.digest(model="returns_soon")
    assert tags["keepfit.feature_service"] == "shopper"
    assert tags["keepfit.run_id"] == "train-1"
    assert tags["keepfit.verdict"] == "pass"
    first, last = tags["keepfit.data_window"].split("/")
    start, _ = tags["keepfit.holdout"].split("/")
    assert first < last < start
    assert set(details.features) == {"visits", "spend", "tier", "share"}
    challenger = folder.read("evaluation")["challenger"]
    assert details.metrics["log_loss"] == folder.read("evaluation")["candidates"][challenger]["log_loss"]


def test_the_version_has_a_model_card_that_the_command_shows(store: Store, tmp_path: Path) -> None:
    folder = store.train("train-1", reason="a <b>test</b> | of all")
    details, root = store.registry.details("returns_soon", "1"), ["--root", str(store.shop.root)]
    kept = store.registry.attached("returns_soon", "1", "model_card.md")
    assert details.tags["keepfit.model_card.md_sha256"] == model_files.sha256(kept)
    told = CliRunner().invoke(app, ["card", "returns_soon", *root])
    assert told.output == f"{kept.read_text()}\n"
    built, logged = folder.read("build_training_set"), f"{details.metrics['log_loss']:.4f}"
    measured = json.loads(store.registry.attached("returns_soon", "1", "importances.json").read_text())
    assert set(measured["features"]) == set(details.features)
    worth = Importances.of_json(measured).shares
    for line in (
        "# returns_soon, version 1",
        f"SHA-256 of the training set: {built['digest']}",
        f"| tier | string | 0.0% | {worth['tier']:.1%} |",
        f"| Run | {details.tags['keepfit.run_id']} |",
        "There was no champion when this version was made.",
    ):
        assert line in told.output.splitlines()
    assert f"| log_loss (objective) | {logged} | " in told.output
    page = tmp_path / "pages" / "card.html"
    told = CliRunner().invoke(app, ["card", "returns_soon", "1", "--html", str(page), *root])
    assert told.output == f"Version 1 of returns_soon: {page}\n"
    assert "<td>a &lt;b&gt;test&lt;/b&gt; | of all</td>" in page.read_text()
    judged = folder.read("evaluation")["rows"]
    assert len(pd.read_parquet(folder.file("holdout_scores.parquet"))) == judged
    sketches = read_sketches(store.registry.attached("returns_soon", "1", "sketches.parquet"))
    assert {name: each.kind for name, each in sketches.items()} == {**details.features, "score": "number"}
    trained = int(details.tags["keepfit.rows"])
    assert {each.rows for name, each in sketches.items() if name != "score"} == {trained}
    assert sketches["score"].n == judged
    for arguments, complaint in (
        (["returns_soon", "7"], "Version 7 of returns_soon cannot be read: "),
        (["no_such_model"], "No model is named 'no_such_model'."),
    ):
        told = CliRunner().invoke(app, ["card", *arguments, *root])
        assert told.exit_code == 1
        assert complaint in told.output
    store.registry.attach("returns_soon", "1", page.rename(page.with_name("model_card.md")))
    assert store.registry.attached("returns_soon", "1", "model_card.md").read_bytes() == kept.read_bytes()
    with pytest.raises(RegistryError, match=r"was registered without odd\.md\. Versions that are trained"):
        store.registry.attached("returns_soon", "1", "odd.md")


def test_a_retraining_on_the_same_data_is_registered_and_refused(store: Store) -> None:
    store.train("train-1")
    folder = store.train("train-2")
    assert folder.read("gate")["verdict"] == "fail"
    assert "is not better than the champion's" in folder.read("gate")["reasons"][0]
    assert folder.read("registered")["version"] == "2"
    assert "the gate's verdict is fail: log_loss" in folder.read("deployed")["skipped"]
    assert folder.read("verified") == {"champion": "1"}
    assert store.registry.details("returns_soon", "2").tags["keepfit.verdict"] == "fail"
    assert [each.verdict for each in store.ledger.trainings("returns_soon")] == ["pass", "fail"]


def test_the_same_data_spec_and_seed_give_the_same_bytes(store: Store) -> None:
    first, second = store.train("train-1"), store.train("train-2")
    assert first.read("train_0") == second.read("train_0")
    assert (
        first.file("candidate_0/model.txt").read_bytes() == second.file("candidate_0/model.txt").read_bytes()
    )


@pytest.mark.parametrize("where", ["spec", "run"])
def test_promotion_never_registers_and_does_not_deploy(store: Store, where: str) -> None:
    if where == "spec":
        store.shop.write("models/returns_soon.yaml", MODEL + "promotion: never\n")
    folder = store.train("train-1", promotion="never" if where == "run" else "auto")
    assert folder.read("gate")["verdict"] == "pass"
    assert "promotion: never" in folder.read("deployed")["skipped"]
    assert store.registry.champion("returns_soon") is None


def test_a_version_that_awaits_approval_goes_live_by_the_approver_s_name(store: Store) -> None:
    store.shop.write("models/returns_soon.yaml", MODEL + "promotion: approval\n")
    folder = store.train("train-1")
    assert folder.read("deployed")["skipped"] == (
        "it awaits approval. To approve of it, run `keepfit release returns_soon --version 1`"
    )
    asked = ApprovalRun(open_snapshot(folder.path))
    question = asked.question()
    assert question is not None
    assert "# returns_soon, version 1" in question.body
    asked.answer(approved=False, who="bob", why="it is Friday", at=START.to_pydatetime())
    assert take(folder.path, "deploy")["skipped"] == "bob rejected it: it is Friday"
    assert store.registry.champion("returns_soon") is None
    asked.answer(
        approved=True, who="ann", why="it is Monday", at=START.to_pydatetime() + pd.Timedelta(days=3)
    )
    assert take(folder.path, "deploy") == {"version": "1", "skipped": None}
    assert store.registry.champion("returns_soon") == "1"
    (moved,) = store.ledger.deployments("returns_soon")
    assert moved.who == "ann"
    assert moved.why.startswith("a test; approved by ann: it is Monday; log_loss ")
    told = CliRunner().invoke(app, ["history", "returns_soon", "--root", str(store.shop.root)])
    assert "approved by ann: it is Monday" in told.output
    assert [each.answer for each in store.ledger.approvals("returns_soon")] == ["rejected", "approved"]


def test_a_version_that_the_watch_rolled_back_is_not_promoted_again_by_its_training(store: Store) -> None:
    folder = store.train("train-1")
    who, why = watcher("returns_soon"), "version 1 does harm"
    back = Deployment("returns_soon", "champion", "1", None, who, why, None, "week-3")
    store.ledger.record_deployment(back)
    store.registry.move_alias("returns_soon", "champion", None)
    assert take(folder.path, "deploy")["skipped"] == (
        "version 1 was rolled back: version 1 does harm. To promote it all the same, run "
        "`keepfit release returns_soon --version 1`"
    )
    assert store.registry.champion("returns_soon") is None


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 2])
def test_killed_at_each_step_the_run_ends_as_if_undisturbed(store: Store, nth: int, warm: list[str]) -> None:
    """Each step is killed the moment it would make its n-th result visible, then tried again."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from keepfit.pipeline.snapshot import open_snapshot\n"
        "from keepfit.pipeline.training import TrainingRun\n"
        "run, left = TrainingRun(open_snapshot(Path(sys.argv[1]))), [int(sys.argv[2])]\n"
        "replace = os.replace\n"
        "def deadly(source, target):\n"
        "    left[0] -= str(target).startswith(sys.argv[1])\n"
        "    if left[0] == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    replace(source, target)\n"
        "os.replace = deadly\n"
        "getattr(run, sys.argv[3])(*map(int, sys.argv[4:]))\n"
    )
    snapshot = store.snapshot("train-1")
    killed = []
    for step in STEPS:
        command = [*warm, "-c", script, str(snapshot.folder.path), str(nth), *step.split()]
        ended = subprocess.run(command, check=False, env=os.environ, capture_output=True, text=True)
        assert ended.returncode in {0, -signal.SIGKILL}, ended.stderr
        killed.append(ended.returncode != 0)
        take(snapshot.folder.path, step)
    assert all(killed) if nth == 1 else sum(killed) == 5
    assert store.registry.versions("returns_soon") == ["1"]
    assert len(store.ledger.trainings("returns_soon")) == len(store.ledger.deployments("returns_soon")) == 1
    other = store.train("train-2")
    for result in ("build_training_set", "train_0"):
        assert snapshot.folder.read(result) == other.read(result)
    killed_too, undisturbed = snapshot.folder.read("evaluation"), other.read("evaluation")
    for result in ("candidates", "baseline", "rows", "start", "end"):
        assert killed_too[result] == undisturbed[result]
    assert snapshot.folder.read("deployed") == {"version": "1", "skipped": None}


WITHOUT_SHARE = ("features=[habits, basket]", "features=[habits]")
WITHOUT_TIER = ('        Field(name="tier", dtype=String),\n', "")
STOPPED = (
    "model returns_soon: version 1 is live and needs {}, which the feature service shopper would give "
    "no more. It could neither predict nor be held against a new version"
)


def edit_of(store: Store, run_id: str, *, allow_deletions: bool = False) -> ApplyRun:
    settings = {"allow_deletions": allow_deletions}
    run = ApplyRun(take_snapshot(store.shop.project, "keepfit__apply", run_id, settings=settings))
    run.plan()
    return run


@pytest.mark.parametrize(("edit", "lost"), [(WITHOUT_SHARE, "share"), (WITHOUT_TIER, "tier")])
def test_an_edit_that_takes_a_feature_from_the_champion_needs_leave(
    store: Store, edit: tuple[str, str], lost: str
) -> None:
    store.train("train-1")
    before = store.shop.store().registered()
    store.shop.edit("features.py", *edit)
    with pytest.raises(EditError) as refused:
        edit_of(store, "refused").check()
    assert str(refused.value) == (
        f"{STOPPED.format(lost)}. Nothing is applied. Bring back what should stay; to do without it, say "
        "`keepfit apply --allow-deletions`, or trigger keepfit__apply with allow_deletions."
    )
    assert store.shop.store().registered() == before
    told = CliRunner().invoke(app, ["plan", "--root", str(store.shop.root)])
    assert (told.exit_code, f"stops {STOPPED.format(lost)}" in told.output) == (1, True)
    allowed = edit_of(store, "allowed", allow_deletions=True)
    assert allowed.check()["stops"] == [STOPPED.format(lost)]
    allowed.apply()
    assert lost not in store.shop.store().service("shopper").feature_names
    allowed.decide()
    assert make_plan(store.shop.project).plan.stops == ()


def test_a_feature_that_no_live_version_needs_goes_without_leave(store: Store) -> None:
    store.train("train-1", promotion="never")
    store.shop.edit("features.py", *WITHOUT_SHARE)
    edit_of(store, "nobody live").check()


def test_a_champion_whose_features_are_gone_is_left_to_a_human_who_may_replace_it(store: Store) -> None:
    store.train("train-1")
    text = (store.shop.root / "feature_repo" / "features.py").read_text()
    store.shop.write("features.py", text.replace("features=[habits, basket]", "features=[habits]"))
    store.shop.store().apply()
    folder = store.train("train-2")
    judgement = folder.read("gate")
    assert judgement["verdict"] == "undecided"
    assert (
        "the champion (version 1) cannot be scored: FeatureStoreError: The model needs the features share"
        in (judgement["reasons"][0])
    )
    assert "train with `promotion: replace`" in judgement["reasons"][0]
    assert folder.read("verified") == {"champion": "1"}
    replaced = store.train("train-3", promotion="replace")
    assert replaced.read("gate")["verdict"] == "pass"
    assert replaced.read("gate")["reasons"][0].endswith(
        "the champion (version 1) is given up by `promotion: replace`, since its feature service has no "
        "share any more"
    )
    assert replaced.read("verified") == {"champion": "3"}


def test_a_champion_whose_files_were_changed_is_not_replaced_either(store: Store) -> None:
    store.train("train-1")
    for file in store.shop.project.locations.artifacts.rglob("keepfit_model.json"):
        file.write_text(file.read_text() + " ")
    snapshot = store.snapshot("train-2", promotion="replace")
    for step in STEPS[:5]:
        take(snapshot.folder.path, step)
    assert "UntrustedModelError" in snapshot.folder.read("gate")["reasons"][0]
    assert snapshot.folder.read("gate")["verdict"] == "undecided"


def test_a_champion_that_moved_since_the_evaluation_is_not_overwritten(store: Store) -> None:
    store.train("train-1")
    store.train("train-2", day=50, promotion="never")
    snapshot = store.snapshot("train-3", day=70)
    for step in STEPS[:5]:
        take(snapshot.folder.path, step)
    snapshot.folder.write("gate", snapshot.folder.read("gate") | {"verdict": "pass"})
    take(snapshot.folder.path, "register")
    store.registry.move_alias("returns_soon", "champion", "2")
    with pytest.raises(
        DeploymentError, match="is version 2, not version 1 as it was when version 3 was chosen"
    ):
        take(snapshot.folder.path, "deploy")


def test_one_class_only_is_an_error_that_can_be_recorded(store: Store) -> None:
    store.shop.publish("orders", orders(80).assign(returned=0))
    snapshot = store.snapshot("train-1")
    with pytest.raises(TrainingError, match="have the label 0: there is nothing to tell apart") as failed:
        take(snapshot.folder.path, "build_training_set")
    TrainingRun(snapshot).fail(str(failed.value))
    (training,) = store.ledger.trainings("returns_soon")
    assert (training.verdict, training.version) == ("error", None)
    assert "nothing to tell apart" in training.reasons[0]


def test_a_step_whose_predecessor_has_not_run_says_so(store: Store) -> None:
    with pytest.raises(NotReadyError, match="'build_training_set' has not finished in this run"):
        take(store.snapshot("train-1").folder.path, "train 0")


@pytest.mark.parametrize("as_of", [None, "2020-03-01T00:00:00"])
def test_a_training_needs_a_moment_with_a_zone(store: Store, as_of: str | None) -> None:
    snapshot = store.snapshot("train-1", as_of=as_of)
    with pytest.raises(ConfError, match="as_of"):
        take(snapshot.folder.path, "build_training_set")


def test_without_a_champion_nothing_is_predicted(store: Store) -> None:
    assert store.predict("predict-1", 61).predict() == {"rows": 0, "skipped": "no champion yet"}
    assert not store.shop.lake.exists("predictions__returns_soon")


def test_the_champion_predicts_a_window_once_however_often_it_is_run(store: Store) -> None:
    store.train("train-1")
    told = store.predict("predict-1", 61).predict()
    day = orders(80)[lambda frame: frame["ordered_at"].dt.floor("D") == START + pd.Timedelta(days=61)]
    expected = int((day["amount"] > 1).sum())
    assert told["rows"] == expected
    assert (told["version"], told["snapshots"]) == ("1", [])
    assert store.predict("predict-1", 61).predict() == told
    store.predict("predict-2", 62).predict()
    store.predict("predict-3", 61).predict()
    rows = store.predictions()
    assert rows["order_id"].is_unique
    assert list(rows.columns) == [
        *("order_id", "event_time", "visits", "spend", "tier", "share"),
        *("score", "positive", "version", "role", "run_id"),
    ]
    assert (rows["positive"] == (rows["score"] >= 0.5)).all()
    assert set(rows["role"]) == {"champion"}
    assert rows["score"].between(0, 1).all()
    joined = rows.merge(orders(80), on="order_id")
    positive = joined.loc[joined["returned"] == 1, "score"].mean()
    assert positive > joined.loc[joined["returned"] == 0, "score"].mean() + 0.1
    assert store.ledger.covers(
        "predictions__returns_soon", store.predict("predict-1", 61).snapshot.the_window
    )


def test_a_version_named_by_the_trigger_predicts_in_the_role_of_the_chosen(store: Store) -> None:
    store.train("train-1")
    store.train("train-2", day=50)
    champion = store.registry.champion("returns_soon")
    other = "1" if champion == "2" else "2"
    store.predict("predict-1", 61).predict()
    told = store.predict("predict-2", 61, version=other).predict()
    assert (told["role"], told["table"]) == ("chosen", f"predictions__returns_soon__version_{other}")
    chosen = store.shop.lake.dataset(told["table"]).to_table().to_pandas()
    assert (set(chosen["role"]), set(chosen["version"])) == ({"chosen"}, {other})
    assert len(store.ledger.publications(told["table"])) == 1
    assert set(store.predictions()["version"]) == {champion}, "the champion's stay as they were"
    assert store.predict("predict-3", 61, version=champion).predict()["role"] == "champion"


def test_a_challenger_scores_the_same_rows_beside_the_champion(store: Store) -> None:
    store.train("train-1")
    store.train("train-2", day=50)
    champion = str(store.registry.champion("returns_soon"))
    other = "1" if champion == "2" else "2"
    store.registry.move_alias("returns_soon", "challenger", other)
    shadow = "predictions__returns_soon__shadow"
    in_the_way = store.shop.lake.root / shadow
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.write_text("not a folder")
    with pytest.raises(OSError, match=shadow):
        store.predict("predict-1", 61).predict()
    first = store.predictions()
    in_the_way.unlink()
    store.registry.move_alias("returns_soon", "challenger", None)
    told = store.predict("predict-1", 61).predict()
    assert (told["version"], told["role"], told["table_version"]) == (champion, "champion", 0)
    assert told["shadow"] == {"version": other, "role": "shadow", "table": shadow, "table_version": 0}
    pd.testing.assert_frame_equal(store.predictions(), first)
    beside = store.shop.lake.dataset(shadow).to_table().to_pandas()
    assert (set(beside["role"]), set(beside["version"])) == ({"shadow"}, {other})
    features = ["order_id", "event_time", "visits", "spend", "tier", "share"]
    pd.testing.assert_frame_equal(beside[features], first[features])
    assert (beside["score"] != first["score"]).any()
    assert store.predict("predict-2", 62).predict()["shadow"] is None


def test_a_challenger_that_cannot_score_does_not_stop_the_champion(store: Store) -> None:
    store.train("train-1")
    run = store.predict("predict-1", 61)
    run.folder.write("versions", {"champion": "1", "shadow": "7"})  # which was deleted since it was chosen
    told = run.predict()
    assert (told["version"], told["shadow"], len(told["warnings"])) == ("1", None, 1)
    assert told["warnings"][0].startswith("The challenger does not score beside the champion: ")


def test_rows_without_any_feature_are_counted(store: Store) -> None:
    store.train("train-1")
    store.shop.publish("habits", habits(80)[lambda rows: rows["seen_at"] < START + pd.Timedelta(days=55)])
    told = store.predict("predict-1", 61).predict()
    assert told["rows_without_features"] == told["rows"] > 0


def test_a_window_without_rows_replaces_what_was_predicted_for_it(store: Store) -> None:
    store.train("train-1")
    store.predict("predict-1", 61).predict()
    gone = START + pd.Timedelta(days=61)
    store.shop.publish("orders", orders(80)[lambda rows: rows["ordered_at"].dt.floor("D") != gone])
    assert store.predict("predict-2", 61).predict()["rows"] == 0
    assert len(store.predictions()) == 0


def test_a_prediction_waits_for_the_datasets_its_features_read(store: Store) -> None:
    assert store.predict("predict-1", 61).wait_for() == ()
    assert store.predict("predict-2", 80).wait_for() == ("orders", "habits")


def test_predictions_lie_in_the_window_they_are_for(store: Store) -> None:
    store.train("train-1")
    run = store.predict("predict-1", 61)
    run.predict()
    table = store.shop.lake.dataset("predictions__returns_soon").to_table()
    assert pc.min(table["event_time"]).as_py() >= run.snapshot.the_window.start
    assert pc.max(table["event_time"]).as_py() < run.snapshot.the_window.end
