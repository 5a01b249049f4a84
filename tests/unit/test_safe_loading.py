"""What is put in the place of a model is refused with the reason, and none of its code runs."""

import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest

from keepfit import plugins
from keepfit.backends import model_files
from keepfit.backends.model_registry import ModelRegistry
from keepfit.backends.version import VersionDetails
from keepfit.errors import UntrustedModelError
from keepfit.plugins import Model, TrainingTask

FILES = {"lightgbm": "model.txt", "xgboost": "model.ubj", "sklearn": "model.skops"}
FLAVORS = {"lightgbm": "lightgbm", "xgboost": "xgboost", "sklearn": "skops"}
PICKLERS: dict[str, Callable[[Any, Any], Any]] = {
    "pickle": pickle.dump,
    "cloudpickle": cloudpickle.dump,
    "joblib": joblib.dump,
}


class Bomb:
    """Leaves a trace if it is ever unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.trace),)


def trained(trainer: str) -> Model:
    chance = np.random.default_rng(1)
    frame = pd.DataFrame({"amount": chance.normal(size=300), "weight": chance.normal(size=300)})
    label = np.asarray(frame["amount"] > 0, dtype=np.float64)
    estimator = "sklearn.linear_model.LogisticRegression" if trainer == "sklearn" else None
    params: dict[str, Any] = {} if trainer == "sklearn" else {"n_estimators": 3}
    task = TrainingTask(frame, label, "classification", (), params, 7, 1, estimator)
    model: Model = plugins.find("trainers", trainer)(task)
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model's folder for each flavor."""
    folders = {trainer: tmp_path_factory.mktemp(trainer) for trainer in FILES}
    for trainer, folder in folders.items():
        trained(trainer).save(folder)
    return folders


@pytest.fixture(params=list(FILES))
def model(request: pytest.FixtureRequest, saved: dict[str, Path], tmp_path: Path) -> tuple[str, Path]:
    """Each flavor in turn: its trainer, and a folder of its own."""
    folder = tmp_path / "model"
    shutil.copytree(saved[request.param], folder)
    return request.param, folder


@pytest.mark.parametrize("pickler", PICKLERS)
def test_a_pickle_in_the_place_of_the_model_is_refused_and_not_run(
    model: tuple[str, Path], pickler: str, tmp_path: Path
) -> None:
    trainer, folder = model
    recorded, trace = model_files.digests(folder), tmp_path / "it ran"
    with (folder / FILES[trainer]).open("wb") as file:
        PICKLERS[pickler](Bomb(trace), file)
    with pytest.raises(UntrustedModelError, match="are not those recorded when it was made: model"):
        model_files.load(folder, recorded)
    # Even where whoever put it there could change what is recorded, too.
    with pytest.raises(UntrustedModelError) as refused:
        model_files.load(folder, model_files.digests(folder))
    assert str(refused.value).startswith(
        f"{folder} does not hold the {FLAVORS[trainer]} model that its card says it is ("
    )
    assert str(refused.value).endswith(
        "keepfit reads the native files of its own trainers, and never a pickle."
    )
    assert not trace.exists()
    joblib.load(folder / FILES[trainer])  # which reads all three, and does run them
    assert trace.exists(), "the bomb is a dud, so this test shows nothing"


def test_a_pickle_among_the_files_is_refused(model: tuple[str, Path], tmp_path: Path) -> None:
    _, folder = model
    recorded = model_files.digests(folder)
    (folder / "python_model.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "it ran")))
    with pytest.raises(UntrustedModelError, match=r"made: python_model\.pkl\. Do not use it"):
        model_files.load(folder, recorded)


def test_the_file_of_one_flavor_is_not_read_as_another(saved: dict[str, Path], tmp_path: Path) -> None:
    for card, content in (("lightgbm", "sklearn"), ("sklearn", "xgboost"), ("xgboost", "lightgbm")):
        folder = tmp_path / card
        shutil.copytree(saved[card], folder)
        shutil.copyfile(saved[content] / FILES[content], folder / FILES[card])
        with pytest.raises(UntrustedModelError, match=f"does not hold the {FLAVORS[card]} model"):
            model_files.load(folder, model_files.digests(folder))


def test_a_card_that_names_another_flavor_than_its_file_has_is_refused(model: tuple[str, Path]) -> None:
    trainer, folder = model
    card = json.loads((folder / model_files.CARD).read_text())
    other = {"lightgbm": "skops", "xgboost": "lightgbm", "sklearn": "xgboost"}[trainer]
    (folder / model_files.CARD).write_text(json.dumps(card | {"flavor": other}))
    with pytest.raises(
        UntrustedModelError, match=f"does not hold the {other} model that its card says it is"
    ):
        model_files.load(folder, model_files.digests(folder))


def test_an_unknown_type_in_a_skops_file_is_refused_by_its_name(
    saved: dict[str, Path], tmp_path: Path
) -> None:
    import skops.io

    folder = tmp_path / "model"
    shutil.copytree(saved["sklearn"], folder)
    skops.io.dump({"calls": os.system}, folder / "model.skops")
    with pytest.raises(UntrustedModelError) as refused:
        model_files.load(folder, model_files.digests(folder))
    assert str(refused.value) == (
        f"{folder}: model.skops holds types outside keepfit's allow-list: posix.system. Do not use it."
    )


@pytest.mark.parametrize("kind", ["file", "folder", "pipe", "dangling"])
def test_a_link_or_a_pipe_in_the_folder_is_refused_by_its_name(
    model: tuple[str, Path], kind: str, tmp_path: Path
) -> None:
    trainer, folder = model
    recorded, name = model_files.digests(folder), FILES[trainer]
    outside = tmp_path / "outside"
    if kind == "file":
        # The very same content: the digests would not tell.
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)
    elif kind == "pipe":
        name = "pipe"
        os.mkfifo(folder / name)
    else:
        name = "more"
        if kind == "folder":
            outside.mkdir()
        (folder / name).symlink_to(outside)
    for known in (recorded, {**recorded, name: "0" * 64}):
        with pytest.raises(UntrustedModelError) as refused:
            model_files.load(folder, known)
        assert f"holds a link, or what is no file: {name}. A model has plain files" in str(refused.value)
    with pytest.raises(UntrustedModelError, match="holds a link"):
        model_files.digests(folder)


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname", "sub/../../outside.txt"])
def test_a_recorded_path_outside_the_folder_is_never_looked_at(
    model: tuple[str, Path], name: str, tmp_path: Path
) -> None:
    _, folder = model
    (tmp_path / "outside.txt").write_text("x")
    recorded = model_files.digests(folder)
    digest = model_files.sha256(tmp_path / "outside.txt")
    with pytest.raises(UntrustedModelError, match="not those recorded when it was made: "):
        model_files.load(folder, {**recorded, name: digest})


def test_a_folder_that_is_gone_is_refused_with_all_that_is_missing(model: tuple[str, Path]) -> None:
    trainer, folder = model
    recorded = model_files.digests(folder)
    shutil.rmtree(folder)
    with pytest.raises(UntrustedModelError, match=f"keepfit_model.json, {FILES[trainer]}"):
        model_files.load(folder, recorded)


def test_what_is_read_is_a_private_copy_of_what_was_held_against_the_digests(
    model: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = model
    seen: list[Path] = []
    reader = ModuleType("a_reader_that_swaps_the_file")

    def read(given: Path, card: model_files.Card) -> str:
        for file in folder.iterdir():
            file.write_text("swapped at the last moment")
        seen.append(given)
        assert model_files.digests(given) == recorded
        assert given.stat().st_mode & 0o077 == 0 or given.parent.stat().st_mode & 0o077 == 0
        return card.flavor

    reader.read = read  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, reader.__name__, reader)
    for flavor in model_files.READERS:
        monkeypatch.setitem(model_files.READERS, flavor, reader.__name__)
    recorded = model_files.digests(folder)
    model_files.load(folder, recorded)
    assert seen[0] != folder
    assert not seen[0].exists()


def test_the_registry_refuses_what_somebody_put_into_its_artifacts(
    tmp_path: Path, saved: dict[str, Path]
) -> None:
    registry = ModelRegistry(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "artifacts")
    registry.initialise()
    reference = tmp_path / "reference.parquet"
    pd.DataFrame({"amount": [1.0], "weight": [1.0], "score": [0.5]}).to_parquet(reference)
    card = model_files.read_card(saved["sklearn"])
    details = VersionDetails(
        task="classification",
        features=card.coding.features,
        files=model_files.digests(saved["sklearn"]),
        reference_sha256=model_files.sha256(reference),
        tags={"keepfit.run_id": "r"},
    )
    sent = {"reference": reference, "training_set": reference}
    version = registry.register("m", saved["sklearn"], details, **sent, digest="0" * 64)
    assert registry.load("m", version).flavor == "skops"
    (kept,) = (tmp_path / "artifacts").rglob("model.skops")
    trace = tmp_path / "it ran"
    kept.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(UntrustedModelError, match=r"made: model\.skops\. Do not use it"):
        registry.load("m", version)
    assert not trace.exists()
