"""The model registry on a real MLflow database, and the one function that moves its alias."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from keepfit.backends import model_files
from keepfit.backends.model_registry import ModelRegistry
from keepfit.backends.trainers.lightgbm import train as train_lightgbm
from keepfit.backends.trainers.sklearn import train as train_sklearn
from keepfit.backends.trainers.xgboost import train as train_xgboost
from keepfit.errors import DeploymentError, RegistryError, UntrustedModelError
from keepfit.ledger import Ledger, migrate
from keepfit.plugins import TrainingTask
from keepfit.steps.deploy import Move, deploy, verify
from keepfit.steps.evaluate import Evaluation
from keepfit.steps.register import Lineage, reference_sample, register
from keepfit.testing import classes
from keepfit.testing.data import CATEGORIES
from keepfit.testing.trainers import features_of

ROWS = classes(600)
FEATURES = dict.fromkeys(features_of(ROWS).columns, "float64") | {"colour": "string"}
TRAINERS = {"lightgbm": train_lightgbm, "xgboost": train_xgboost, "skops": train_sklearn}
LINEAGE = Lineage(
    run_id="",
    as_of="2024-02-01T00:00:00+00:00",
    verdict="pass",
    trainer="lightgbm",
    data_window="2024-01-01/2024-01-20",
    data_digest="d" * 64,
    rows=600,
    holdout="2024-01-20/2024-01-26",
    feature_service="shapes_v1",
    registry_digest="r" * 16,
    spec_digest="s" * 16,
    seed=7,
    decision="shapes:1:window",
)


@dataclass(frozen=True)
class Home:
    """A registry and a ledger for a whole module; each test uses a model name of its own."""

    path: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.path / 'mlflow.db'}"

    @property
    def registry(self) -> ModelRegistry:
        return ModelRegistry(self.uri, self.path / "artifacts")

    @property
    def ledger(self) -> Ledger:
        return Ledger(f"sqlite:///{self.path / 'ledger.db'}")

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri, self.uri)

    def prepare(self, run_id: str, flavor: str = "lightgbm", seed: int = 7) -> dict[str, Any]:
        """Train a model and return what `register` wants."""
        params = {} if flavor == "skops" else {"n_estimators": 15, "learning_rate": 0.1 + seed / 100}
        estimator = "sklearn.ensemble.RandomForestClassifier" if flavor == "skops" else None
        label = ROWS["label"].to_numpy(np.float64)
        frame = features_of(ROWS)
        task = TrainingTask(frame, label, "classification", CATEGORIES, params, seed, 1, estimator)
        model = TRAINERS[flavor](task)
        made = self.path / "runs" / run_id.replace(":", "-")
        shutil.rmtree(made, ignore_errors=True)
        (made / "candidate_0").mkdir(parents=True)
        model.save(made / "candidate_0")
        reference_sample(model, ROWS, FEATURES, seed).to_parquet(made / "reference.parquet")
        ROWS.to_parquet(made / "training_set.parquet")
        return {
            "folder": made / "candidate_0",
            "evaluation": Evaluation(
                challenger=0,
                candidates=({"log_loss": 0.4, "roc_auc": float("nan"), "my_metrics:cost": 5.0},),
                baseline={"log_loss": 0.69},
                champion={"log_loss": 0.5},
                champion_version="1",
                champion_problem=None,
                rows=100,
                start="2024-01-20",
                end="2024-01-26",
            ),
            "lineage": replace(LINEAGE, run_id=run_id, seed=seed),
            "params": params,
            "reference": made / "reference.parquet",
            "training_set": made / "training_set.parquet",
        }

    def register(self, model: str, run_id: str, **options: Any) -> str:
        return register(self.registry, model, **self.prepare(run_id, **options))

    def move(self, model: str, to: str, since: str | None, run_id: str = "by-hand") -> Any:
        wish = Move(model, to, since, who="anna", why="it is better", run_id=run_id, decision_key="k")
        return deploy(self.registry, self.ledger, wish, self.path / "locks")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, warm: list[str]) -> Home:
    """Begin with what four processes have made at once: the race that breaks a fresh MLflow database."""
    made = Home(tmp_path_factory.mktemp("home"))
    script = (
        "import sys; from pathlib import Path; from keepfit.backends.model_registry import ModelRegistry; "
        "ModelRegistry(sys.argv[1], Path(sys.argv[2])).initialise()"
    )
    command = [*warm, "-c", script, made.uri, str(made.path / "artifacts")]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(each.communicate()[1], each.returncode)[1] for each in started] == [0, 0, 0, 0]
    migrate(f"sqlite:///{made.path / 'ledger.db'}")
    return made


@pytest.mark.parametrize("url", ["postgresql://[bad", "postgresql://host:port/db", "http://[bad", "models"])
def test_a_url_of_no_registry_is_refused_before_it_is_opened(tmp_path: Path, url: str) -> None:
    with pytest.raises(RegistryError, match=r"^The model registry's URL, KEEPFIT_TRACKING_URI, "):
        ModelRegistry(url, tmp_path)


def test_the_database_writes_ahead(home: Home) -> None:
    with sqlite3.connect(home.path / "mlflow.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


@pytest.mark.parametrize("flavor", list(TRAINERS))
def test_a_registered_model_comes_back_with_the_same_scores(home: Home, flavor: str) -> None:
    model = f"returns_{flavor}"
    version = home.register(model, "train-1", flavor=flavor)
    loaded = home.registry.load(model, version)
    reference = pd.read_parquet(home.registry.reference(model, version))
    np.testing.assert_allclose(loaded.predict(reference), reference["score"], rtol=0, atol=1e-12)
    assert loaded.features == tuple(FEATURES)
    assert list(reference.columns) == [*FEATURES, "score", "label"]


@pytest.mark.parametrize("flavor", list(TRAINERS))
def test_anyone_with_mlflow_can_load_it(home: Home, flavor: str) -> None:
    model = f"open_{flavor}"
    version = home.register(model, "train-1", flavor=flavor)
    mlflow.set_tracking_uri(home.uri)
    mlflow.set_registry_uri(home.uri)
    theirs = mlflow.pyfunc.load_model(f"models:/{model}/{version}")
    reference = pd.read_parquet(home.registry.reference(model, version))
    frame = reference[list(FEATURES)].astype({name: "float64" for name in FEATURES if name != "colour"})
    np.testing.assert_allclose(theirs.predict(frame), reference["score"], rtol=0, atol=1e-12)


def test_nothing_registered_is_a_pickle(home: Home) -> None:
    for flavor in TRAINERS:
        home.register(f"plain_{flavor}", "train-1", flavor=flavor)
    files = [path for path in (home.path / "artifacts").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".txt", ".ubj", ".skops", ".json", ".yaml", ".parquet", ""}
    assert not [path for path in files if path.read_bytes()[:2] in {b"\x80\x04", b"\x80\x05"}]


def test_a_version_says_where_it_comes_from(home: Home) -> None:
    version = home.register("lineage", "train-1")
    details = home.registry.details("lineage", version)
    assert details.metrics == {
        "log_loss": 0.4,
        "my_metrics:cost": 5.0,
        "baseline.log_loss": 0.69,
        "champion.log_loss": 0.5,
    }
    assert details.params == {"n_estimators": "15", "learning_rate": "0.17"}
    assert details.task == "classification"
    assert details.features["colour"] == "category"
    assert details.tags == replace(LINEAGE, run_id="train-1").tags()
    assert details.tags["keepfit.decision"] == "shapes:1:window"
    assert "keepfit.git_commit" not in details.tags


def test_mlflow_knows_data_set_and_model_of_the_run(home: Home) -> None:
    version = home.register("mlflow_lineage", "train-1")
    run = home.client.get_run(home.client.get_model_version("mlflow_lineage", version).run_id)
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("mlflow_lineage_training_set", "d" * 36)
    (output,) = run.outputs.model_outputs
    logged = home.client.get_logged_model(output.model_id)
    assert {each.key: each.value for each in logged.metrics}["log_loss"] == 0.4
    assert run.info.status == "FINISHED"


def test_registering_writes_nothing_where_it_is_started(home: Home, tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from test_model_registry import Home\n"
        "Home(Path(sys.argv[1])).register('elsewhere', 'train-1')\n"
    )
    command = [sys.executable, "-c", script, str(home.path), str(Path(__file__).parent)]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_requirements_are_pinned(home: Home) -> None:
    home.register("pinned", "train-1")
    (file,) = (home.path / "artifacts" / "pinned").rglob("requirements.txt")
    names = {line.split("==")[0] for line in file.read_text().split()}
    assert names == {"mlflow", "keepfit", "numpy", "pandas", "lightgbm"}
    assert all("==" in line for line in file.read_text().split())


def test_registering_again_gives_the_same_version(home: Home) -> None:
    prepared = home.prepare("train-1")
    first = register(home.registry, "again", **prepared)
    assert register(home.registry, "again", **prepared) == first == "1"
    assert home.register("again", "train-2", seed=8) == "2"
    assert home.registry.versions("again") == ["1", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("step", ["log", "create_version"])
def test_killed_while_registering_and_tried_again_there_is_one_version(home: Home, step: str) -> None:
    model = f"killed_{step}"
    script = (
        "import os, signal, sys; sys.path.insert(0, 'tests/integration')\n"
        "from pathlib import Path\n"
        "from keepfit.backends.model_registry import registering\n"
        "from test_model_registry import Home\n"
        "deadly = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        "if sys.argv[3] == 'log':\n"
        "    import mlflow; registering.create_version = deadly\n"
        "else:\n"
        "    create = registering.create_version\n"
        "    registering.create_version = lambda *a: (create(*a), deadly())\n"
        "Home(Path(sys.argv[1])).register(sys.argv[2], 'train-1')\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, str(home.path), model, step], check=False, env=os.environ
    )
    assert killed.returncode == -signal.SIGKILL
    assert home.register(model, "train-1") == "1"
    assert home.registry.versions(model) == ["1"]
    experiment = home.client.get_experiment_by_name(model)
    assert len(home.client.search_runs([experiment.experiment_id])) == 1
    assert home.registry.load(model, "1").predict(features_of(ROWS)).shape == (600,)


def file_of(home: Home, model: str, name: str) -> Path:
    (file,) = (home.path / "artifacts" / model).rglob(name)
    return file


def test_a_changed_model_file_is_not_loaded(home: Home) -> None:
    version = home.register("tampered", "train-1")
    with file_of(home, "tampered", "model.txt").open("a") as file:
        file.write("\n")
    with pytest.raises(UntrustedModelError, match=r"not those recorded when it was made: model\.txt"):
        home.registry.load("tampered", version)


def test_a_changed_reference_is_not_used(home: Home) -> None:
    version = home.register("swapped", "train-1")
    ROWS.to_parquet(file_of(home, "swapped", "reference.parquet"))
    with pytest.raises(
        UntrustedModelError, match="reference sample of version 1 of swapped is not the one recorded"
    ):
        home.registry.reference("swapped", version)


def test_what_keepfit_did_not_register_is_refused_by_name(home: Home) -> None:
    home.client.create_registered_model("stranger")
    run = home.client.create_run("0")
    home.client.create_model_version("stranger", "file:///nowhere", run.info.run_id)
    with pytest.raises(
        RegistryError, match=r"Version 1 of stranger has no tag 'keepfit.task': keepfit did not"
    ):
        home.registry.details("stranger", "1")


def test_a_version_that_does_not_exist_is_named(home: Home) -> None:
    with pytest.raises(RegistryError, match="Version 9 of nothing cannot be read"):
        home.registry.load("nothing", "9")
    assert home.registry.versions("nothing") == []
    assert home.registry.champion("nothing") is None


def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    registry = ModelRegistry(f"sqlite:///{blocked}/mlflow.db", tmp_path)
    with pytest.raises(RegistryError, match="database cannot be created or upgraded"):
        registry.initialise()


def test_the_first_champion_is_recorded_with_who_and_why(home: Home) -> None:
    version = home.register("first", "train-1")
    assert home.registry.champion("first") is None
    home.move("first", version, None, "train-1")
    assert home.registry.champion("first") == version
    (moved,) = home.ledger.deployments("first")
    assert (moved.from_version, moved.to_version) == (None, "1")
    assert (moved.who, moved.why, moved.run_id, moved.decision_key) == (
        "anna",
        "it is better",
        "train-1",
        "k",
    )
    assert verify(home.registry, home.ledger, "first") == "1"


def test_promoting_the_champion_records_nothing(home: Home) -> None:
    version = home.register("same", "train-1")
    home.move("same", version, None)
    assert home.move("same", version, version) is None
    assert home.move("same", version, None) is None
    assert len(home.ledger.deployments("same")) == 1


def test_a_champion_that_changed_meanwhile_is_not_overwritten(home: Home) -> None:
    for run in ("train-1", "train-2", "train-3"):
        home.register("moved", run)
    home.move("moved", "1", None)
    home.move("moved", "2", "1")
    with pytest.raises(
        DeploymentError, match=r"is version 2, not version 1 as it was when version 3 was chosen"
    ):
        home.move("moved", "3", "1")
    assert home.registry.champion("moved") == "2"
    assert [each.to_version for each in home.ledger.deployments("moved")] == ["1", "2"]


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(home: Home) -> None:
    for run in ("train-1", "train-2", "train-3"):
        home.register("race", run)
    home.move("race", "1", None)
    together, told = Barrier(2), []

    def promote(version: str) -> None:
        together.wait()
        try:
            home.move("race", version, "1", run_id=f"promote-{version}")
        except DeploymentError as error:
            told.append(str(error))

    threads = [Thread(target=promote, args=(version,)) for version in ("2", "3")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 1
    assert "Nothing was moved" in told[0]
    assert [each.to_version for each in home.ledger.deployments("race")] == [
        "1",
        home.registry.champion("race"),
    ]


def test_killed_between_moving_and_recording_the_next_try_records(home: Home) -> None:
    home.register("half", "train-1")
    home.register("half", "train-2", seed=8)
    home.move("half", "1", None)
    home.registry.move_alias("half", "champion", "2")
    with pytest.raises(
        DeploymentError, match="champion of half is version 2, but the ledger deployed version 1 last"
    ):
        verify(home.registry, home.ledger, "half")
    home.move("half", "2", "1", run_id="train-2")
    assert home.ledger.deployments("half")[-1].from_version == "1"
    assert verify(home.registry, home.ledger, "half") == "2"


def test_a_version_that_does_not_load_never_becomes_champion(home: Home) -> None:
    home.register("broken", "train-1")
    home.register("broken", "train-2", seed=8)
    home.move("broken", "1", None)
    for file in (home.path / "artifacts" / "broken").rglob("model.txt"):
        if model_files.sha256(file) == home.registry.details("broken", "2").files["model.txt"]:
            file.unlink()
    with pytest.raises(UntrustedModelError, match=r"model\.txt"):
        home.move("broken", "2", "1")
    assert home.registry.champion("broken") == "1"
    assert verify(home.registry, home.ledger, "broken") == "1"


def test_a_version_that_scores_otherwise_than_recorded_never_becomes_champion(home: Home) -> None:
    prepared = home.prepare("train-1")
    sample = pd.read_parquet(prepared["reference"])
    sample.assign(score=sample["score"] + 0.01).to_parquet(prepared["reference"])
    register(home.registry, "otherwise", **prepared)
    with pytest.raises(DeploymentError, match=r"scores its own reference rows otherwise.*by up to 0\.01"):
        home.move("otherwise", "1", None)
    assert home.registry.champion("otherwise") is None


def test_without_any_champion_there_is_nothing_to_disagree_about(home: Home) -> None:
    assert verify(home.registry, home.ledger, "untouched") is None
