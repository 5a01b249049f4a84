"""A worker that begins while the registry is away."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from keepfit.backends import model_files
from keepfit.backends.trainers.lightgbm import train
from keepfit.pipeline.log_to import LogTo
from keepfit.plugins import Access, TrainingTask
from keepfit.serving.copies import Copies, LastLive, Recorded
from keepfit.serving.keeper import Keeper
from keepfit.serving.logs import Logs
from keepfit.serving.lookup import OnlineLookUp
from keepfit.serving.meters import Meters
from keepfit.serving.served import ServedModel
from keepfit.serving.shadow import Shadow
from keepfit.serving.wanted import Pointers
from keepfit.spec import ServingSpec, load_project
from keepfit.testing import classes
from keepfit.testing.data import CATEGORIES
from keepfit.testing.trainers import features_of

SETTINGS = ServingSpec(log=False)
FILES = {
    "keepfit.yaml": "project: shop\ndatabase: sqlite\n",
    "datasets/orders.yaml": """
name: orders
source: {type: files, path: orders.parquet}
columns: {order_id: int64, ordered_at: timestamp, returned: int64}
key: [order_id]
event_time: ordered_at
""",
    "models/returns.yaml": """
name: returns
task: classification
entities: {dataset: orders, columns: [order_id]}
features: shopper
label: {column: returned, delay: 3d}
train: {holdout: 2d, candidates: [{trainer: lightgbm}]}
evaluate: {objective: log_loss}
""",
}


def keep_copy(folder: Path) -> None:
    rows = classes(60)
    frame = features_of(rows)
    label = rows["label"].to_numpy("float64")
    model = train(TrainingTask(frame, label, "classification", CATEGORIES, {"n_estimators": 3}, 7, 1, None))
    (folder / "model").mkdir(parents=True)
    model.save(folder / "model")
    reference = folder / "reference.parquet"
    frame.assign(score=model.predict(frame)).to_parquet(reference)
    recorded = Recorded(model_files.digests(folder / "model"), model_files.sha256(reference))
    (folder / "recorded.json").write_text(json.dumps(asdict(recorded)))


@pytest.fixture
def served(tmp_path: Path) -> ServedModel:
    """A model of which two versions were live when the registry went away."""
    for file, text in FILES.items():
        path = tmp_path / "feature_repo" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    project, meters = load_project(tmp_path), Meters()
    for version in ("1", "2"):
        keep_copy(tmp_path / "copies" / "returns" / version)
    Copies(tmp_path / "copies", "returns").remember(LastLive("1", None, "2", 0.25))
    spec, shadow = project.models["returns"], Shadow("returns", 1, meters)
    shadow.close()
    return ServedModel(spec, OnlineLookUp(project, spec, meters), shadow, meters)


def refresh(served: ServedModel, root: Path) -> None:
    Keeper(
        served=served,
        pointers=Pointers(load_project(root).locations),
        copies=Copies(root / "copies", "returns"),
        logs=Logs(LogTo("", None, Access(url=str, storage=lambda _: {})), "returns", dict, SETTINGS),
        settings=SETTINGS,
        meters=Meters(),
    ).refresh()


def test_who_was_live_last_answers_and_the_challenger_has_his_share(
    served: ServedModel, tmp_path: Path
) -> None:
    refresh(served, tmp_path)
    assert served.line is not None
    assert served.line.challenger is not None
    assert (served.line.champion.version, served.line.challenger.version) == ("1", "2")
    assert served.line.share == 0.25


def test_a_damaged_copy_of_the_challenger_leaves_the_champion_answering_alone(
    served: ServedModel, tmp_path: Path
) -> None:
    file = tmp_path / "copies" / "returns" / "2" / "model" / "model.txt"
    file.write_text(file.read_text().replace("leaf_value=", "leaf_value=9", 1))
    refresh(served, tmp_path)
    assert served.line is not None
    assert served.line.champion.version == "1"
    assert (served.line.challenger, served.line.share) == (None, 0.0)
    assert served.problem is not None
    told = "Serving what was live last: version 1. The last challenger's copy does not load: The files of the"
    assert told in served.problem


def test_a_damaged_copy_of_the_champion_is_told_as_his(served: ServedModel, tmp_path: Path) -> None:
    (tmp_path / "copies" / "returns" / "1" / "recorded.json").unlink()
    refresh(served, tmp_path)
    assert served.line is None
    assert served.problem is not None
    assert "The last champion's copy does not load: No copy of version 1 of returns" in served.problem
