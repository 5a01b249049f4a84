"""Permutation importance: what a model does not look at is worth nothing, and the same each time."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keepfit.spec import ModelSpec
from keepfit.steps.importance import Importances, importances

FEATURES = ("first", "second", "constant", "city")


class Linear:
    """A model that leans on `first` twice as much as on `second`, and on nothing else."""

    flavor = "linear"

    def __init__(self, *weights: float) -> None:
        self.weights = weights

    def predict(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        first, second = self.weights
        known = frame["city"].map({"Ulm": 0.0, "Bern": 0.0})
        return np.asarray(first * frame["first"] + second * frame["second"] + known, np.float64)

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def spec(objective: str = "rmse") -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "delay",
            "task": "regression",
            "entities": {"dataset": "flights"},
            "features": "delay",
            "label": {"column": "late", "delay": "2d"},
            "train": {"holdout": "14d", "candidates": [{"trainer": "lightgbm"}]},
            "evaluate": {"objective": objective},
        }
    )


def holdout(seed: int = 0, rows: int = 5_000) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    first, second = chance.normal(size=(2, rows))
    return pd.DataFrame(
        {
            "first": first,
            "second": second,
            "constant": 1.0,
            "city": pd.Categorical(chance.choice(["Ulm", "Bern"], rows)),
            "label": 2 * first + second,
        }
    )


@pytest.mark.parametrize("objective", ["rmse", "mae", "r2"])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=5, deadline=None)
def test_a_feature_is_worth_what_its_loss_would_cost_whatever_the_direction(
    objective: str, seed: int
) -> None:
    found = importances(Linear(2.0, 1.0), holdout(seed), FEATURES, spec(objective))
    worth = {name: each.value for name, each in found.features.items()}
    assert worth["first"] > worth["second"] > 0
    assert (worth["constant"], worth["city"]) == (0, 0)
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.rows == 3_000


def test_the_worth_is_in_units_of_the_objective() -> None:
    found = importances(
        Linear(2.0, 0.0), holdout().assign(label=lambda each: 2 * each["first"]), FEATURES, spec()
    )
    # What is guessed and what is true differ by twice a difference of two standard normal numbers.
    assert found.features["first"].value == pytest.approx(2 * np.sqrt(2), rel=0.05)
    assert found.shares == {"first": 1.0, "second": 0.0, "constant": 0.0, "city": 0.0}


def test_it_is_the_same_each_time_and_reads_back() -> None:
    found = importances(Linear(2.0, 1.0), holdout(), FEATURES, spec())
    assert importances(Linear(2.0, 1.0), holdout(), FEATURES, spec()) == found
    stored = found.to_json()
    assert Importances.of_json(stored) == found
    before = {name: {**each, "noise": 0.1} for name, each in stored["features"].items()}
    assert Importances.of_json(stored | {"features": before}) == found


def test_what_harms_the_model_has_no_share_and_no_worth_at_all_leaves_none() -> None:
    noise = np.random.default_rng(5).normal(size=5_000)
    misled = importances(
        Linear(1.0, 0.5),
        holdout().assign(label=lambda each: each["first"] - each["second"] - noise),
        FEATURES,
        spec(),
    )
    assert misled.features["second"].value < 0
    assert (misled.shares["first"], misled.shares["second"]) == (1.0, 0.0)
    nothing = importances(Linear(0.0, 0.0), holdout(), FEATURES, spec())
    assert nothing.shares == {}
    undefined = importances(Linear(1.0, 1.0), holdout().assign(label=1.0), FEATURES, spec("r2"))
    assert (undefined.features, undefined.shares) == ({}, {})
