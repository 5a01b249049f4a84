"""Regret of keeping a champion: against brute force, and never a number where nothing can be told."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.policy import RegretSignal
from keepfit.spec import ModelSpec
from keepfit.steps.metrics import measure
from keepfit.steps.regret import regret


def spec(objective: str = "log_loss", min_rows: int = 50) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "churn",
            "task": "classification",
            "entities": {"dataset": "customers"},
            "features": "churn",
            "label": {"column": "left", "delay": "2d"},
            "train": {"holdout": "14d", "candidates": [{"trainer": "lightgbm"}]},
            "evaluate": {"objective": objective},
            "monitor": {"performance": {"min_rows": min_rows}},
        }
    )


def rows(count: int = 700, days: int = 7, seed: int = 0, better: float = 0.5) -> pd.DataFrame:
    """So many rows; the challenger sees more of the truth than the champion."""
    chance = np.random.default_rng(seed)
    truth = chance.normal(size=count)
    times = pd.date_range("2024-01-01", periods=count, freq=pd.Timedelta(days=days) / count, tz="UTC")
    return pd.DataFrame(
        {
            "event_time": times,
            "label": (chance.random(count) < 1 / (1 + np.exp(-2 * truth))).astype(float),
            "challenger": 1 / (1 + np.exp(-truth * (1 + better))),
            "champion": 1 / (1 + np.exp(-truth)),
        }
    )


@pytest.mark.parametrize("objective", ["log_loss", "roc_auc", "brier"])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_regret_is_how_much_better_the_challenger_is_whatever_the_direction(
    objective: str, seed: int
) -> None:
    frame = rows(seed=seed).assign(challenger=lambda each: 0.9 * each["label"] + 0.05)
    found = regret(frame, spec(objective))
    label = frame["label"].to_numpy()
    ours, theirs = (
        measure((objective,), label, frame[who].to_numpy())[objective] for who in ("challenger", "champion")
    )
    assert found.value == pytest.approx(abs(ours - theirs))
    assert found.noise is not None
    assert found.noise > 0
    swapped = frame.rename(columns={"challenger": "champion", "champion": "challenger"})
    turned = regret(swapped, spec(objective))
    assert found.value is not None
    assert turned.value == pytest.approx(-found.value)
    assert turned.noise == pytest.approx(found.noise)


def test_the_same_scores_leave_nothing_to_regret() -> None:
    frame = rows().assign(challenger=lambda each: each["champion"])
    assert regret(frame, spec()) == RegretSignal(0.0, 0.0, 700)


def test_days_that_go_up_and_down_together_are_less_sure_than_as_many_rows() -> None:
    chance, frame = np.random.default_rng(1), rows(2100, days=21)
    sways = np.repeat(chance.choice([0.0, 0.3], 21), 100)
    together, apart = (
        regret(frame.assign(champion=np.clip(frame["challenger"] + each, 0.01, 0.99)), spec("brier"))
        for each in (sways, chance.permutation(sways))
    )
    assert together.noise is not None
    assert apart.noise is not None
    assert together.noise > 1.5 * apart.noise


def test_too_few_rows_or_days_or_one_class_is_no_number() -> None:
    few = regret(rows(40), spec())
    assert few == RegretSignal(None, None, 40, "40 newly labelled rows, 50 needed")
    short = regret(rows(days=2), spec())
    assert short == RegretSignal(
        None, None, 700, "newly labelled rows of 2 days, 5 needed: monitor longer windows"
    )
    one = regret(rows().assign(label=1.0), spec("roc_auc"))
    assert one.value is None
    assert one.reason == "roc_auc cannot be compared on 700 labelled rows: all have the label 1"
