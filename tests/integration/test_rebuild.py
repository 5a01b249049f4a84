"""A version's training set and model made again: Feast, the lake, MLflow and the ledger are real."""

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

from keepfit.backends.model_files import sha256
from keepfit.backends.model_registry import ModelRegistry
from keepfit.cli.app import app
from keepfit.errors import UntrustedModelError
from keepfit.ledger import migrate
from keepfit.pipeline.folder import RunFolder
from keepfit.pipeline.rebuild import Rebuild, Rebuilt
from keepfit.pipeline.snapshot import open_snapshot, take_snapshot
from keepfit.pipeline.training import TrainingRun
from keepfit.spec import Window

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
]

MODEL = """
name: returns_soon
task: {task}
entities: {{dataset: orders, columns: [customer, amount]}}
features: shopper
label: {{column: returned, delay: 1d}}
train:
  holdout: 10d
  season: {season}
  min_rows: 100
  candidates: [{candidate}]
evaluate: {{objective: {objective}}}
promotion: never
"""
CANDIDATES = {
    "lightgbm": "{trainer: lightgbm, params: {n_estimators: 20, learning_rate: 0.05},"
    " search: {space: {num_leaves: {low: 3, high: 15}}, trials: 3}}",
    "linear classification": "{trainer: sklearn, estimator: sklearn.linear_model.LogisticRegression}",
    "linear regression": "{trainer: sklearn, estimator: sklearn.linear_model.Ridge}",
    "forest regression": "{trainer: sklearn, estimator: sklearn.ensemble.RandomForestRegressor,"
    " params: {n_estimators: 10, max_depth: 4}}",
}
EDITING_ITSELF = """
from pathlib import Path
Path(__file__).write_text(Path(__file__).read_text() + "# edited")
"""
START = pd.Timestamp("2020-01-01", tz="UTC")
CUSTOMERS = [f"c{number}" for number in range(25)]


def habits(first: int, days: int, seed: int = 1) -> pd.DataFrame:
    chance = np.random.default_rng((seed, first))
    seen = pd.date_range(START + pd.Timedelta(days=first), periods=days, freq="D")
    frame = pd.MultiIndex.from_product([seen, CUSTOMERS], names=["seen_at", "customer"]).to_frame(index=False)
    frame["visits"] = chance.integers(0, 9, len(frame))
    frame["spend"] = chance.exponential(20, len(frame)) + 1
    frame["tier"] = [tier or None for tier in chance.choice(["gold", "silver", ""], len(frame))]
    return frame


def orders(first: int, days: int, seed: int = 1) -> pd.DataFrame:
    chance = np.random.default_rng((seed, first, 2))
    seen = habits(first, days)
    hours = pd.to_timedelta(chance.integers(1, 23, len(seen)), unit="h")
    return pd.DataFrame(
        {
            "order_id": first * len(CUSTOMERS) + np.arange(len(seen)),
            "customer": seen["customer"],
            "ordered_at": seen["seen_at"] + hours,
            "amount": chance.exponential(30, len(seen)),
            "returned": (chance.random(len(seen)) < 0.1 + 0.08 * seen["visits"]).astype(int),
        }
    )


@dataclass(frozen=True)
class House:
    """The shop with windows published one by one, and a registry."""

    shop: Any

    @property
    def root(self) -> Path:
        root: Path = self.shop.root
        return root

    @property
    def registry(self) -> ModelRegistry:
        locations = self.shop.project.locations
        return ModelRegistry(locations.tracking_uri, locations.artifacts)

    def publish(self, first: int, days: int, seed: int = 1) -> None:
        """Publish a window of both datasets, or publish it anew with other values."""
        window = Window.parse(*(str(START + pd.Timedelta(days=day)) for day in (first, first + days)))
        for table, make, time in (("habits", habits, "seen_at"), ("orders", orders, "ordered_at")):
            file = self.root / f"{table}.parquet"
            pq.write_table(pa.Table.from_pandas(make(first, days, seed), preserve_index=False), file)
            self.shop.lake.publish(table, file, time_column=time, window=window)

    def spec(self, task: str = "classification", candidate: str = "lightgbm", season: str = "null") -> None:
        objective = "log_loss" if task == "classification" else "rmse"
        text = MODEL.format(task=task, objective=objective, candidate=CANDIDATES[candidate], season=season)
        self.shop.write("models/returns_soon.yaml", text)

    def begin(self, run_id: str = "train-1") -> RunFolder:
        as_of = (START + pd.Timedelta(days=60)).isoformat()
        settings = {"as_of": as_of, "reason": None, "promotion": "never", "decision": None}
        return take_snapshot(
            self.shop.project, "returns_soon__train", run_id, model="returns_soon", settings=settings
        ).folder

    def train(self, run_id: str = "train-1") -> RunFolder:
        folder = self.begin(run_id)
        for step in ("build_training_set", "train", "evaluate", "gate", "register"):
            self.take(folder, step)
        return folder

    def take(self, folder: RunFolder, step: str) -> None:
        run = TrainingRun(open_snapshot(folder.path))
        getattr(run, step)(*([0] if step == "train" else []))

    def rebuild(self, *, train: bool = True) -> Rebuilt:
        out = self.root / "again"
        return Rebuild(self.registry, self.shop.project.locations, "returns_soon", "1", out).run(train=train)


@pytest.fixture(scope="module")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make MLflow's database once: it takes seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    ModelRegistry(f"sqlite:///{file}", file.parent / "artifacts").initialise()
    return file


@pytest.fixture
def house(shop: Any, empty_registry: Path) -> House:
    locations = shop.project.locations
    locations.home.mkdir(parents=True)
    with (
        closing(sqlite3.connect(empty_registry)) as made_once,
        closing(sqlite3.connect(locations.home / "mlflow.db")) as fresh,
    ):
        made_once.backup(fresh)
    migrate(locations.ledger_url)
    made = House(shop)
    made.spec()
    made.publish(0, 30)
    made.publish(30, 40)
    return made


def differences(rebuilt: Rebuilt) -> list[str]:
    return [finding.text for finding in rebuilt.findings if not finding.same]


def model_of(rebuilt: Rebuilt) -> str:
    (text,) = [finding.text for finding in rebuilt.findings if finding.text.startswith("model: ")]
    return text


@pytest.mark.parametrize(
    ("task", "season", "days"),
    [
        ("classification", "null", range(59)),
        ("regression", "{period: 40d, around: 15d}", [*range(5, 35), *range(45, 59)]),
    ],
)
def test_lightgbm_and_its_training_set_come_out_bit_for_bit(
    house: House, task: str, season: str, days: Sequence[int]
) -> None:
    house.spec(task, season=season)
    folder = house.train()
    taken = pd.read_parquet(folder.file("training_set.parquet"))["event_time"]
    assert sorted((taken - START).dt.days.unique()) == list(days)
    rebuilt = house.rebuild()
    assert differences(rebuilt) == []
    assert sha256(rebuilt.folder / "training_set.parquet") == sha256(folder.file("training_set.parquet"))
    assert model_of(rebuilt) == "model: the same bytes, SHA-256 of keepfit_model.json, model.txt"
    assert sha256(rebuilt.folder / "model/model.txt") == sha256(folder.file("candidate_0/model.txt"))


@pytest.mark.parametrize("kind", ["linear classification", "linear regression", "forest regression"])
def test_a_scikit_learn_model_comes_out_with_the_same_predictions(house: House, kind: str) -> None:
    house.spec(kind.split()[1], kind)
    folder = house.train()
    rebuilt = house.rebuild()
    assert differences(rebuilt) == []
    assert sha256(rebuilt.folder / "training_set.parquet") == sha256(folder.file("training_set.parquet"))
    rows = len(pd.read_parquet(folder.file("reference.parquet")))
    assert model_of(rebuilt) == f"model: other bytes, the same predictions on all {rows} reference rows"


def test_windows_published_later_change_nothing(house: House) -> None:
    house.train()
    house.publish(70, 10)
    assert differences(house.rebuild()) == []


def test_a_window_published_anew_is_read_as_it_was(house: House) -> None:
    folder = house.train()
    house.publish(0, 30, seed=9)
    rebuilt = house.rebuild()
    assert differences(rebuilt) == []
    again = house.train("train-2")
    assert again.read("build_training_set")["digest"] != folder.read("build_training_set")["digest"]


def test_the_feature_repo_of_today_is_not_read(house: House) -> None:
    house.train()
    text = (house.root / "feature_repo" / "features.py").read_text()
    house.shop.write("features.py", text.replace('inputs["amount"] / inputs["spend"]', 'inputs["amount"]'))
    house.shop.store().register()
    assert differences(house.rebuild()) == []
    house.shop.write("features.py", "this is no Python")
    for file in ("models/returns_soon.yaml", "datasets/orders.yaml", "datasets/habits.yaml"):
        (house.root / "feature_repo" / file).unlink()
    assert differences(house.rebuild()) == []


def test_the_live_registry_and_online_store_are_left_alone(house: House) -> None:
    yaml = (house.root / "feature_repo" / "feature_store.yaml").read_text()
    live = house.root / "live_registry.db"
    house.shop.write("feature_store.yaml", yaml.replace("${KEEPFIT_FEAST_REGISTRY}", f"sqlite:///{live}"))
    house.train()
    before = sha256(live)
    assert differences(house.rebuild()) == []
    assert sha256(live) == before


def test_a_table_that_was_published_anew_with_other_columns_is_read_as_it_was(house: House) -> None:
    house.train()
    file = house.root / "habits.parquet"
    pq.write_table(pa.Table.from_pandas(habits(0, 70)[["customer", "seen_at", "visits"]]), file)
    house.shop.lake.publish("habits", file, columns="replace")
    assert differences(house.rebuild()) == []


def test_a_vacuumed_version_is_named_with_its_files(house: House) -> None:
    house.train()
    version = house.shop.lake.version("habits")
    house.publish(0, 30, seed=9)
    table = DeltaTable(str(house.shop.lake.root / "habits"))
    (gone,) = table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    vacuumed = DeltaTable(str(house.shop.lake.root / "habits")).version()
    rebuilt = house.rebuild()
    assert differences(rebuilt) == [
        f"table 'habits' version {version}: 1 of 2 files are gone ({gone}). "
        f"The table was vacuumed at version {vacuumed}. Restore them from a backup.",
        "nothing is made: what went in can no longer be read",
    ]
    assert not (rebuilt.folder / "training_set.parquet").exists()


def test_a_file_that_was_deleted_by_hand_or_changed_is_named(house: House) -> None:
    house.train()
    first, second = sorted(house.shop.lake.files("orders"))
    Path(first).unlink()
    shutil.copyfile(house.root / "orders.parquet", second)
    told = differences(house.rebuild())
    assert told[0].startswith(f"table 'orders' version 1: 1 of 2 files are gone ({Path(first).name}).")
    assert "They were deleted by other means than a vacuum." in told[0]
    assert told[1] == (
        f"table 'orders' version 1: the file {Path(second).name} has been changed since. "
        "Restore it from a backup."
    )


def test_a_table_that_is_gone_is_named(house: House) -> None:
    house.train()
    shutil.rmtree(house.shop.lake.root / "habits")
    told = differences(house.rebuild())
    assert told[0].startswith("table 'habits' version 1: it cannot be opened any more: Nothing of 'habits'")


def test_a_table_that_was_made_anew_is_named(house: House) -> None:
    house.train()
    shutil.rmtree(house.shop.lake.root / "orders")
    house.shop.publish("orders", orders(0, 70))
    told = differences(house.rebuild())
    assert "Version 1 of 'orders' is not in its log, which ends at 0" in told[0]


def test_another_version_of_a_library_is_named_and_the_bytes_are_compared_all_the_same(house: House) -> None:
    register_with(house, lambda inputs: inputs["libraries"].update(duckdb="0.9.2"))
    rebuilt = house.rebuild()
    (told,) = differences(rebuilt)
    assert told.startswith("duckdb was 0.9.2 and is 1.")
    assert any("the same bytes" in each.text for each in rebuilt.findings if each.same)


def test_another_registry_digest_is_named(house: House) -> None:
    def edit(inputs: dict[str, Any]) -> None:
        text = inputs["definitions"]["features.py"]
        inputs["definitions"]["features.py"] = text.replace('/ inputs["spend"]', '/ inputs["visits"]')

    folder = register_with(house, edit)
    rebuilt = house.rebuild(train=False)
    definitions, rows = differences(rebuilt)
    was = folder.read("build_training_set")
    assert definitions.startswith("feature definitions: digest ")
    assert definitions.endswith(f" and was {was['registry_digest']}")
    assert rows.startswith(f"training set: the same {was['rows']} rows and labels, but other values of feat")
    assert was["digest"] in rows


def test_other_rows_are_told_from_other_features(house: House) -> None:
    def edit(inputs: dict[str, Any]) -> None:
        inputs["snapshot"]["model"]["entities"]["where"] = "amount > 20"

    register_with(house, edit)
    (told,) = differences(house.rebuild(train=False))
    assert told.startswith("training set: other rows or labels (")


def test_a_model_that_comes_out_otherwise_is_measured(house: House) -> None:
    register_with(house, lambda inputs: inputs["snapshot"]["model"]["train"].update(holdout="20d"))
    (told,) = differences(house.rebuild())
    assert told.startswith("model: its predictions differ on ")


def register_with(house: House, edit: Any) -> RunFolder:
    """Train, and register with a record of inputs that was edited before."""
    folder = house.begin()
    for step in ("build_training_set", "train", "evaluate", "gate"):
        house.take(folder, step)
    inputs = folder.read("inputs")
    edit(inputs)
    folder.write("inputs", inputs)
    house.take(folder, "register")
    return folder


def test_a_record_that_was_changed_is_not_used(house: House) -> None:
    house.train()
    (kept,) = house.shop.project.locations.artifacts.rglob("pins.json")
    kept.write_text(kept.read_text() + " ")
    told = CliRunner().invoke(app, ["rebuild", "returns_soon", "1", "--root", str(house.root)])
    assert told.exit_code == 1
    assert "The record of inputs of version 1 of returns_soon is not the one recorded" in told.stderr


def changed_with_its_tag(house: House, edit: Any) -> None:
    """Change a record as one can who writes to the model registry: its SHA-256 is there, too."""
    (kept,) = house.shop.project.locations.artifacts.rglob("pins.json")
    record = json.loads(kept.read_text())
    edit(record)
    kept.write_text(json.dumps(record))
    with closing(sqlite3.connect(house.shop.project.locations.home / "mlflow.db")) as store, store:
        written = store.execute(
            "UPDATE model_version_tags SET value = ? WHERE key = 'keepfit.pins_sha256'", (sha256(kept),)
        )
        assert written.rowcount == 1


def test_code_that_only_the_model_registry_knows_is_not_run_unless_that_is_trusted(house: House) -> None:
    house.train()
    ran = house.root / "ran"
    code = f"\nfrom pathlib import Path\nPath({str(ran)!r}).touch()\n"

    def edit(record: dict[str, Any]) -> None:
        record["definitions"]["features.py"] += code

    changed_with_its_tag(house, edit)
    command = ["rebuild", "returns_soon", "1", "--root", str(house.root)]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 1
    assert (
        "The ledger knows another record of inputs of version 1 of returns_soon, and the one in the model "
        "registry holds Python that a rebuild would run. Nothing of it was run. If you trust who can write "
        "to the model registry, add --trust-registry."
    ) in told.stderr
    assert not ran.exists()
    CliRunner().invoke(app, [*command, "--trust-registry"])
    assert ran.exists()


@pytest.mark.parametrize("name", ["../../outside.py", "/outside.py"])
def test_a_record_that_names_a_file_outside_its_folder_is_refused(house: House, name: str) -> None:
    house.train()
    changed_with_its_tag(house, lambda record: record["definitions"].update({name: ""}))
    out, locations = house.root / "again", house.shop.project.locations
    with pytest.raises(UntrustedModelError, match=f"names the file '{name}', which is outside feature_repo/"):
        Rebuild(house.registry, locations, "returns_soon", "1", out, trust_registry=True)


def test_the_record_names_all_that_went_in(house: House) -> None:
    folder = house.train()
    pins = json.loads(house.registry.pins("returns_soon", "1").read_text())
    assert sha256(house.registry.pins("returns_soon", "1")) == sha256(folder.file("pins.json"))
    assert [(each["table"], each["version"]) for each in pins["tables"]] == [("habits", 1), ("orders", 1)]
    (name, pin) = next(iter(pins["tables"][0]["files"].items()))
    assert pin["sha256"] == sha256(house.shop.lake.root / "habits" / name)
    assert set(pins["definitions"]) == {"features.py", "feature_store.yaml"}
    assert pins["snapshot"]["model"]["train"]["seed"] == 7
    assert pins["trained"]["files"] == house.registry.details("returns_soon", "1").files
    assert pins["libraries"]["duckdb"].startswith("1.")


def test_the_command_ends_well_when_all_is_the_same_and_with_1_when_not(house: House) -> None:
    house.train()
    command = ["rebuild", "returns_soon", "1", "--train", "--root", str(house.root)]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    assert "returns_soon version 1: trained as of 2020-03-01T00:00:00+00:00 in run train-1" in told.output
    assert "same     training set: the same bytes, " in told.output
    folder = house.shop.project.locations.home / "rebuilt" / "returns_soon" / "1"
    assert (folder / "training_set.parquet").exists()
    shutil.rmtree(house.shop.lake.root / "habits")
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 1
    assert "DIFFERS  table 'habits' version 1: it cannot be opened any more" in told.output


def test_a_version_that_is_not_there_is_an_error(house: House) -> None:
    told = CliRunner().invoke(app, ["rebuild", "returns_soon", "7", "--root", str(house.root)])
    assert told.exit_code == 1
    assert "Version 7 of returns_soon cannot be read" in told.stderr


def test_an_edit_while_the_training_set_is_built_is_noticed(house: House) -> None:
    folder = house.begin()
    text = (house.root / "feature_repo" / "features.py").read_text()
    house.shop.write("features.py", text + EDITING_ITSELF)
    with pytest.raises(Exception, match="was edited while its features were registered"):
        house.take(folder, "build_training_set")
    assert not folder.has("build_training_set")
