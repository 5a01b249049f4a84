"""Which rows a replay's trainings take."""

from typing import Any

import pytest
import yaml

from keepfit.errors import ConfError
from keepfit.policy import Matrix
from keepfit.spec import ModelSpec
from keepfit.steps.choose_policy import choose_policy
from keepfit.steps.replay_settings import ReplaySettings, kind_of, on_all_history, rows_of
from keepfit.testing import matrix

KINDS = ["expanding", "trailing:91d", "season:365d/45d"]


def model(**train: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "churn",
            "task": "classification",
            "entities": {"dataset": "customers"},
            "features": "churn",
            "label": {"column": "left", "delay": "2d"},
            "train": {"holdout": "14d", "candidates": [{"trainer": "lightgbm"}], **train},
            "evaluate": {"objective": "log_loss"},
        }
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_rows_is_named_as_it_is_written(kind: str) -> None:
    assert kind_of(model(**rows_of(kind))) == kind


@pytest.mark.parametrize("present", KINDS)
def test_each_kind_is_trained_whatever_the_models_file_says(present: str) -> None:
    settings = ReplaySettings.of({"cost": 0.1, "windows": ", ".join(KINDS)})
    models = settings.models(model(**rows_of(present)))
    assert {kind: kind_of(each) for kind, each in models.items()} == {kind: kind for kind in KINDS}
    assert kind_of(on_all_history(model(**rows_of(present)))) == "expanding"


def test_a_suggestion_sets_what_is_to_change_and_takes_off_what_was_there() -> None:
    def losing(value: float, kind: str) -> Matrix:
        return matrix(24, lambda cut, at: value * (at - cut + 1), kind=kind)

    seasonal, trailing = losing(0.1, "season:70d/20d"), losing(1.0, "trailing:91d")
    chosen = yaml.safe_load(choose_policy(model(length="91d"), [trailing, seasonal], 1.5).suggestion)
    assert chosen["train"] == {"length": None, "season": {"period": "70d", "around": "20d"}}


@pytest.mark.parametrize(
    ("windows", "told"),
    [
        (
            "rolling:9d",
            "`windows` has 'rolling:9d', which names no rows to train on. There are: expanding; tr",
        ),
        ("season:365d", "`windows` has 'season:365d', which names no rows to train on."),
        (
            "trailing:soon",
            "`windows` has 'trailing:soon': Value error, 'soon' is no duration. Write a number",
        ),
        (
            "season:60d/30d",
            "`windows` has 'season:60d/30d': Value error, `around` is 30d: from half a `period`",
        ),
    ],
)
def test_what_names_no_rows_is_refused(windows: str, told: str) -> None:
    with pytest.raises(ConfError) as error:
        ReplaySettings.of({"cost": 0.1, "windows": windows})
    assert str(error.value).startswith(told)
