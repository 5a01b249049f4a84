"""Days drawn again: all draws of a metric at once are what one draw after the other gives."""

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keepfit.spec.gate import GateSpec
from keepfit.steps import by_day
from keepfit.steps.compare import compare
from keepfit.steps.draws import Draws, Estimate, draw
from keepfit.steps.metrics import measure

Array = NDArray[np.float64]
OF_CLASSES = ("accuracy", "average_precision", "brier", "calibration_error", "log_loss", "roc_auc")
OF_VALUES = (
    "mae",
    "pinball",
    "r2",
    "rmse",
    "keepfit.steps.metrics:pinball_10",
    "keepfit.steps.metrics:pinball_90",
)


def days(count: int, rows: int = 10) -> "pd.Series[pd.Timestamp]":
    """So many days with as many rows each, in order."""
    return pd.Series(pd.date_range("2024-01-01", periods=count, tz="UTC").repeat(rows))


def one_by_one(draws: Draws, metric: str, label: Array, score: Array) -> Array:
    found = []
    for weights in draws.weights.astype(int):
        rows = [np.tile(np.flatnonzero(draws.day == day), times) for day, times in enumerate(weights)]
        chosen = np.concatenate(rows)
        found.append(measure((metric,), label[chosen], score[chosen])[metric])
    return np.array(found)


def with_metric(monkeypatch: pytest.MonkeyPatch, function: Any) -> str:
    mine = ModuleType("mine")
    mine.metric = function  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mine", mine)
    return "mine:metric"


@pytest.mark.parametrize("metric", OF_CLASSES)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 12), block=st.sampled_from(["auto", "day", "week"]))
@settings(max_examples=10, deadline=None)
def test_all_draws_at_once_are_one_after_the_other(metric: str, seed: int, count: int, block: Any) -> None:
    chance = np.random.default_rng(seed)
    times = days(count).sample(frac=0.7, random_state=seed)
    label = chance.integers(0, 2, len(times)).astype(np.float64)
    score = chance.integers(0, 12, len(times)) / 12
    draws = draw(times, GateSpec(resamples=100, block=block), seed)
    expected = one_by_one(draws, metric, label, score)
    np.testing.assert_allclose(draws.of(metric, label, score), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("metric", OF_VALUES)
@given(seed=st.integers(0, 10**6), far=st.sampled_from([0.0, 1e4]))
@settings(max_examples=10, deadline=None)
def test_draws_of_values_are_one_after_the_other_too(metric: str, seed: int, far: float) -> None:
    chance = np.random.default_rng(seed)
    times = days(9)
    label, score = far + chance.normal(size=(2, len(times)))
    draws = draw(times, GateSpec(resamples=100), seed)
    expected = one_by_one(draws, metric, label, score)
    np.testing.assert_allclose(draws.of(metric, label, score), expected, rtol=1e-12, atol=1e-12)


def test_a_metric_of_ones_own_is_computed_from_the_rows_of_each_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    name = with_metric(monkeypatch, lambda label, score: float(np.median(np.abs(label - score))))
    times = days(8)
    label, score = np.random.default_rng(1).normal(size=(2, len(times)))
    draws = draw(times, GateSpec(resamples=100), 1)
    np.testing.assert_array_equal(draws.of(name, label, score), one_by_one(draws, name, label, score))


@dataclass
class Cost:
    """A metric that is an object, and cannot be a key of a mapping."""

    price: float

    def __call__(self, label: Array, score: Array) -> float:
        return self.price * float(np.abs(label - score).max())


def test_a_metric_may_be_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    name = with_metric(monkeypatch, Cost(2.0))
    draws = draw(days(8), GateSpec(resamples=100), 1)
    label, score = np.random.default_rng(1).normal(size=(2, 80))
    np.testing.assert_array_equal(draws.of(name, label, score), one_by_one(draws, name, label, score))


def test_a_slow_metric_on_many_rows_gets_fewer_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_day, "_ROWS_IN_ALL", 20_000)
    name = with_metric(monkeypatch, lambda label, score: float(np.mean(label - score)))
    draws = draw(days(10), GateSpec(resamples=500), 1)
    label = np.ones(100)
    assert len(draws.of(name, label, label)) == 200


def test_a_metric_that_tells_its_rows_is_not_called_for_each_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def cost(label: Array, score: Array) -> float:
        calls.append(len(label))
        return float(np.mean((label - score) ** 4))

    cost.row_values = lambda label, score: (label - score) ** 4  # type: ignore[attr-defined]
    name = with_metric(monkeypatch, cost)
    times = days(8)
    label, score = np.random.default_rng(1).normal(size=(2, len(times)))
    draws = draw(times, GateSpec(resamples=100), 1)
    fast = draws.of(name, label, score)
    assert calls == []
    np.testing.assert_allclose(fast, one_by_one(draws, name, label, score), rtol=1e-12)


@pytest.mark.parametrize(("count", "block"), [(5, 2), (14, 3), (27, 3), (28, 4), (56, 4), (365, 8)])
def test_a_block_is_the_cube_root_of_the_days(count: int, block: int) -> None:
    assert draw(days(count, 1), GateSpec(), 1).block == block


def test_each_draw_holds_as_many_days_as_there_are_in_stretches() -> None:
    draws = draw(days(28, 1), GateSpec(block="week"), 1)
    assert (draws.weights.sum(axis=1) == 28).all()
    assert len(np.unique(draws.weights.sum(axis=0))) > 1
    once = draw(days(7, 1), GateSpec(block="week"), 1)
    assert (once.weights == 1).all()


def test_days_without_rows_are_no_days() -> None:
    times = days(14, 1)
    assert draw(times[times.dt.weekday < 5], GateSpec(), 1).days == 10


def test_fewer_days_than_blocks_need_are_told() -> None:
    rule = GateSpec(block="week")
    assert draw(days(17, 1), rule, 1).too_few() == 18
    assert draw(days(18, 1), rule, 1).too_few() is None
    assert draw(days(4, 1), GateSpec(), 1).too_few() == 5


def test_the_order_of_rows_changes_nothing() -> None:
    chance = np.random.default_rng(3)
    frame = pd.DataFrame({"event_time": days(14), "label": chance.integers(0, 2, 140)})
    frame = frame.assign(challenger=chance.random(140), champion=chance.random(140))
    for metric in ("roc_auc", "log_loss", "calibration_error"):
        found, mixed = (
            compare(each, metric, draw(each["event_time"], GateSpec(), 1), 0.9)
            for each in (frame, frame.sample(frac=1, random_state=5))
        )
        np.testing.assert_allclose(
            [mixed.value, mixed.low, mixed.high], [found.value, found.low, found.high], rtol=1e-9, atol=1e-12
        )


def test_more_confidence_and_longer_blocks_are_wider_where_days_run_together() -> None:
    """A week of weather counts about once, not seven times."""
    chance = np.random.default_rng(3)
    weeks = np.repeat(chance.normal(size=12), 7)
    frame = pd.DataFrame({"event_time": days(84, 1), "label": 0.0, "challenger": 9 + weeks, "champion": 9.0})
    reach = {
        (block, confidence): compare(
            frame, "mae", draw(frame["event_time"], GateSpec(block=block), 1), confidence
        )
        for block in ("day", "auto", "week")
        for confidence in (0.9, 0.99)
    }
    width = {key: found.high - found.low for key, found in reach.items()}
    assert width["day", 0.9] < width["auto", 0.9] < width["week", 0.9] < width["week", 0.99]


def test_student_keeps_the_stated_rate_on_few_days_and_percentiles_do_not() -> None:
    """Two weeks of days that have nothing to do with each other, two thousand times."""
    chance, missed = np.random.default_rng(0), np.zeros(2)
    draws = draw(days(14, 1), GateSpec(block="day", resamples=300), 1)
    tries = 2000
    for gains in chance.normal(size=(tries, 14)):
        drawn = draws.weights @ gains / 14
        found = draws.estimate(float(gains.mean()), drawn, 0.9)
        missed += found.low > 0, np.quantile(drawn, 0.05) > 0
    assert 0.035 < missed[0] / tries < 0.062
    assert missed[1] > 1.2 * missed[0]


def test_a_metric_that_most_draws_do_not_define_has_no_interval() -> None:
    label = np.zeros(140)
    label[:3] = 1
    draws = draw(days(14), GateSpec(block="day"), 1)
    drawn = draws.of("roc_auc", label, np.linspace(0, 1, 140))
    assert np.isnan(drawn).mean() == pytest.approx((1 - 1 / 14) ** 14, abs=0.08)
    found = draws.estimate(0.5, drawn, 0.9)
    assert np.isnan([found.error, found.low, found.high]).all()
    assert found.chance(-9.0) == 1


@given(slack=st.floats(-5, 5), error=st.floats(0.01, 5))
def test_the_chance_falls_with_the_slack(slack: float, error: float) -> None:
    found = Estimate(0.0, error, 4.0, -1.0, 1.0)
    assert found.chance(slack) >= found.chance(slack - 0.1)
    assert found.chance(0.0) == pytest.approx(0.5)


def test_equal_models_have_no_error_and_no_gain() -> None:
    found = Estimate(0.0, 0.0, 4.0, 0.0, 0.0)
    assert (found.chance(0.0), found.chance(0.1)) == (0.0, 1.0)


def test_the_error_is_the_spread_of_the_draws_made_larger_for_few_blocks() -> None:
    draws = draw(days(14, 1), GateSpec(), 1)
    drawn = np.random.default_rng(2).normal(size=500)
    found = draws.estimate(0.3, drawn, 0.9)
    blocks = 14 / 3
    assert found.error == pytest.approx(np.std(drawn, ddof=1) * np.sqrt(blocks / (blocks - 1)))
    assert found.freedom == pytest.approx(blocks - 1)
    assert (found.low + found.high) / 2 == pytest.approx(0.3)
    assert draws.estimate(0.3, drawn, 0.9, days=6).high > found.high
