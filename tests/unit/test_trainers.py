"""Trainers: keepfit's own hold to the contract that plugin authors inherit."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from keepfit import plugins
from keepfit.backends import model_files
from keepfit.backends.coding import Coding
from keepfit.errors import FeatureStoreError, TrainingError, UntrustedModelError
from keepfit.plugins import Model, Trainer, TrainingTask
from keepfit.testing import TrainerTests, classes, values
from keepfit.testing.data import CATEGORIES
from keepfit.testing.trainers import features_of

FOREST = "sklearn.ensemble.RandomForestClassifier"
SMALL = {"lightgbm": {"n_estimators": 20}, "xgboost": {"n_estimators": 20}}


class Installed(TrainerTests):
    name = ""

    @property
    def trainer(self) -> Trainer:
        found: Trainer = plugins.find("trainers", self.name)
        return found


class TestLightGBM(Installed):
    name, params = "lightgbm", SMALL["lightgbm"]


class TestLightGBMRegression(Installed):
    name, params, task = "lightgbm", SMALL["lightgbm"], "regression"


class TestXGBoost(Installed):
    name, params = "xgboost", SMALL["xgboost"]


class TestXGBoostRegression(Installed):
    name, params, task = "xgboost", SMALL["xgboost"], "regression"


class TestHistGradientBoosting(Installed):
    name, estimator = "sklearn", "sklearn.ensemble.HistGradientBoostingClassifier"


class TestRandomForest(Installed):
    name, estimator, params = "sklearn", FOREST, {"n_estimators": 20}


class TestLogisticRegression(Installed):
    name, estimator = "sklearn", "sklearn.linear_model.LogisticRegression"


class TestRidge(Installed):
    name, estimator, task = "sklearn", "sklearn.linear_model.Ridge", "regression"


class TestLightGBMAsScikitLearnSeesIt(Installed):
    name, estimator, params = "sklearn", "lightgbm.LGBMClassifier", {"n_estimators": 20}


def trained(trainer: str, rows: pd.DataFrame | None = None, **changes: Any) -> Model:
    rows = classes() if rows is None else rows
    task = {
        "frame": features_of(rows),
        "label": rows["label"].to_numpy(np.float64),
        "task": "classification",
        "categorical": CATEGORIES,
        "params": SMALL.get(trainer, {}),
        "seed": 7,
        "threads": 1,
    }
    model: Model = plugins.find("trainers", trainer)(TrainingTask(**{**task, **changes}))
    return model


@pytest.mark.parametrize("trainer", ["lightgbm", "xgboost"])
def test_one_task_gives_one_native_file_to_the_byte(trainer: str, tmp_path: Path) -> None:
    digests = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        trained(trainer).save(tmp_path / name)
        digests.append(model_files.digests(tmp_path / name))
    assert digests[0] == digests[1]


def test_another_process_trains_the_same_bytes(tmp_path: Path) -> None:
    trained("lightgbm").save(tmp_path)
    script = (
        "import sys, pathlib; sys.path.insert(0, 'tests/unit'); from test_trainers import trained; "
        "trained('lightgbm').save(pathlib.Path(sys.argv[1]))"
    )
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run([sys.executable, "-c", script, str(other)], check=True)
    assert (other / "model.txt").read_bytes() == (tmp_path / "model.txt").read_bytes()


def test_lightgbm_takes_categories_natively() -> None:
    model = trained("lightgbm", classes(2000))
    assert "cat_threshold=" in model.booster.model_to_string()  # type: ignore[attr-defined]


def test_the_card_says_features_levels_and_digests(tmp_path: Path) -> None:
    trained("lightgbm").save(tmp_path)
    card = json.loads((tmp_path / "keepfit_model.json").read_text())
    assert card["flavor"] == "lightgbm"
    assert card["task"] == "classification"
    assert {"name": "colour", "kind": "category"} in card["features"]
    assert card["levels"] == {"colour": ["blue", "green", "red"]}
    assert card["files"] == {"model.txt": model_files.sha256(tmp_path / "model.txt")}


def test_a_changed_file_is_not_loaded(tmp_path: Path) -> None:
    trained("lightgbm").save(tmp_path)
    recorded = model_files.digests(tmp_path)
    with (tmp_path / "model.txt").open("a") as file:
        file.write(" ")
    with pytest.raises(
        UntrustedModelError, match=r"not those recorded when it was made: model\.txt\. Do not use it"
    ):
        model_files.load(tmp_path, recorded)


def test_a_card_changed_to_fit_a_changed_file_is_not_loaded_either(tmp_path: Path) -> None:
    trained("lightgbm").save(tmp_path)
    recorded = model_files.digests(tmp_path)
    other = tmp_path.parent / f"{tmp_path.name}_other"
    other.mkdir()
    trained("lightgbm", seed=8, params={"bagging_fraction": 0.5, "bagging_freq": 1}).save(other)
    for file in other.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UntrustedModelError, match=r"keepfit_model\.json, model\.txt"):
        model_files.load(tmp_path, recorded)


def test_an_added_file_is_refused(tmp_path: Path) -> None:
    trained("lightgbm").save(tmp_path)
    recorded = model_files.digests(tmp_path)
    (tmp_path / "extra.py").write_text("")
    with pytest.raises(UntrustedModelError, match=r"extra\.py"):
        model_files.load(tmp_path, recorded)


def test_a_model_without_recorded_digests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UntrustedModelError, match="nothing is recorded"):
        model_files.load(tmp_path, {})


def test_a_flavor_keepfit_does_not_know_is_refused(tmp_path: Path) -> None:
    trained("lightgbm").save(tmp_path)
    card = json.loads((tmp_path / "keepfit_model.json").read_text())
    (tmp_path / "keepfit_model.json").write_text(json.dumps(card | {"flavor": "pickle"}))
    with pytest.raises(
        UntrustedModelError, match=r"names the flavor 'pickle'\. keepfit reads lightgbm, xgboost, skops"
    ):
        model_files.load(tmp_path, model_files.digests(tmp_path))


def test_skops_loads_only_what_our_own_list_allows(tmp_path: Path) -> None:
    import skops.io

    trained("sklearn", estimator="sklearn.linear_model.LogisticRegression").save(tmp_path)
    skops.io.dump({"innocent": Path("looking")}, tmp_path / "model.skops")
    with pytest.raises(UntrustedModelError, match=r"types outside keepfit's allow-list: pathlib\.PosixPath"):
        model_files.load(tmp_path, model_files.digests(tmp_path))


def test_an_estimator_that_could_not_be_read_back_is_refused_when_saved(tmp_path: Path) -> None:
    model = trained("sklearn", estimator="sklearn.linear_model.LogisticRegression")
    model.pipeline.extra = Path("somewhere")  # type: ignore[attr-defined]
    with pytest.raises(
        TrainingError, match=r"holds types that keepfit does not read back: pathlib\.PosixPath"
    ):
        model.save(tmp_path)


@pytest.mark.parametrize(
    ("trainer", "changes", "message"),
    [
        ("lightgbm", {"params": {"num_leeves": 7}}, "LightGBM knows no parameter num_leeves"),
        ("lightgbm", {"params": {"objective": "nonsense"}}, "LightGBM does not train with"),
        (
            "lightgbm",
            {"params": {"n_jobs": 4}},
            "`params` sets 'n_jobs'.*set for all candidates by `train.threads`",
        ),
        ("xgboost", {"params": {"random_state": 4}}, "`params` sets 'random_state'.*`train.seed`"),
        ("xgboost", {"params": {"max_dept": 7}}, 'XGBoost knows no parameter "max_dept"'),
        ("xgboost", {"params": {"max_depth": "deep"}}, "XGBoost does not train with"),
        (
            "sklearn",
            {"estimator": FOREST, "params": {"n_estimator": 7}},
            "no parameter 'n_estimator'. Did you mean",
        ),
        ("sklearn", {"estimator": FOREST, "params": {"max_depth": "deep"}}, "max_depth"),
        (
            "sklearn",
            {"estimator": "os.system"},
            "takes an `estimator` from sklearn or lightgbm, not 'os.system'",
        ),
        ("sklearn", {"estimator": None}, "Name it like sklearn.ensemble.HistGradientBoostingClassifier"),
        (
            "sklearn",
            {"estimator": "sklearn.ensemble.Forest"},
            "There is no estimator sklearn.ensemble.Forest",
        ),
        ("sklearn", {"estimator": "sklearn.metrics.roc_auc_score"}, "is no scikit-learn estimator"),
        ("sklearn", {"estimator": "sklearn.linear_model.Ridge"}, "gives no probabilities"),
        ("sklearn", {"estimator": FOREST, "task": "regression"}, "is no regressor"),
    ],
)
def test_a_wrong_spec_is_told_apart(trainer: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        trained(trainer, **changes)


def test_a_missing_xgboost_says_how_to_install_it() -> None:
    script = (
        "import sys; sys.modules['xgboost'] = None\n"
        "sys.path.insert(0, 'tests/unit'); from test_trainers import trained; trained('xgboost')"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "pip install 'keepfit[xgboost]'" in ended.stderr.splitlines()[-1]


def test_codes_are_numbers_truth_values_and_positions_of_levels() -> None:
    frame = pd.DataFrame(
        {
            "number": [1, 2, 3],
            "big": pd.array([1, None, 3], dtype="Int64"),
            "truth": [True, False, None],
            "kind": ["b", None, "a"],
            "endless": [1.0, np.inf, -np.inf],
        }
    )
    coding = Coding.learn(frame, ("kind",))
    expected = [[1, 1, 1, 1, 1], [2, np.nan, 0, np.nan, np.nan], [3, 3, np.nan, 0, np.nan]]
    np.testing.assert_array_equal(coding.matrix(frame), expected)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pd.Series(["a", "b"]), "holds something that is no number"),
        (pd.to_datetime(pd.Series(["2024-01-01", "2024-01-02"])), "holds times, which no learner takes"),
    ],
)
def test_a_feature_of_another_kind_is_named(column: "pd.Series[Any]", message: str) -> None:
    frame = pd.DataFrame({"odd": column})
    with pytest.raises(FeatureStoreError, match=f"The feature 'odd' {message}"):
        Coding.learn(frame, ()).matrix(frame)


def test_absent_features_are_named() -> None:
    model = trained("lightgbm")
    with pytest.raises(
        FeatureStoreError, match="needs the features size, colour, which are not among the columns"
    ):
        model.predict(features_of(values()).drop(columns=["size", "colour"]))
