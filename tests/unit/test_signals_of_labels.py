"""What labels say of a champion, each with what luck alone brings; and that no labels is no good news."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.ledger import Decision
from keepfit.policy import PerformanceSignal
from keepfit.policy.rules import find
from keepfit.spec import ModelSpec
from keepfit.spec.policy import Performance
from keepfit.steps.calibrated import calibration
from keepfit.steps.estimate import estimate
from keepfit.steps.measure import measure_performance
from keepfit.steps.silent_labels import labels_missing, silent_labels
from keepfit.testing import week

START = datetime(2024, 1, 1, tzinfo=UTC)


def spec(task: str = "classification", objective: str = "log_loss") -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "churn",
            "task": task,
            "entities": {"dataset": "customers"},
            "features": "churn",
            "label": {"column": "left", "delay": "2d"},
            "train": {"holdout": "14d", "candidates": [{"trainer": "lightgbm"}]},
            "evaluate": {"objective": objective},
            "monitor": {"performance": {"min_rows": 50}},
        }
    )


def labelled(seed: int, rows: int = 1400, off: float = 0.0, days: int = 7) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    truth = chance.uniform(0.05, 0.8, rows)
    return pd.DataFrame(
        {
            "event_time": pd.date_range(START, periods=rows, freq=timedelta(days=days) / rows),
            "score": truth + off,
            "label": (chance.random(rows) < truth).astype(float),
            "version": "1",
            "role": "champion",
        }
    )


def test_right_probabilities_are_within_their_noise_and_wrong_ones_are_not() -> None:
    found = [calibration(labelled(seed), spec()) for seed in range(200)]
    beyond = [each.value > each.noise for each in found if each.value is not None and each.noise is not None]
    assert len(beyond) == 200
    assert np.mean(beyond) < 0.06, "one in fifty is meant to be"
    wrong = calibration(labelled(1, off=0.15), spec())
    assert wrong.value == pytest.approx(0.15, abs=0.04)
    assert wrong.value is not None
    assert wrong.noise is not None
    assert wrong.value > 2 * wrong.noise


def test_what_has_no_probabilities_or_too_few_labels_is_not_measured() -> None:
    assert (
        calibration(labelled(1), spec("regression", "rmse")).reason == "a regression gives no probabilities"
    )
    few = calibration(labelled(1, rows=49), spec())
    assert (few.value, few.reason) == (None, "49 labelled rows, 50 needed")


def test_the_standard_error_of_performance_is_how_far_it_scatters() -> None:
    signals = [
        measure_performance(labelled(seed, days=28), spec(), "1", {"log_loss": 0.6}).signal
        for seed in range(60)
    ]
    values = [each.value for each in signals if each.value is not None]
    errors = [each.noise for each in signals if each.noise is not None]
    assert len(errors) == 60
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.35)


def test_the_mean_label_of_the_holdout_is_held_beside_the_champion_on_the_same_rows() -> None:
    rows = labelled(1, days=28)

    def beside(rows: pd.DataFrame, guess: float | None) -> PerformanceSignal:
        return measure_performance(rows, spec(), "1", {"log_loss": 0.6}, mean_label=guess).signal

    label = rows["label"].to_numpy(np.float64)
    good, bad = beside(rows, 0.4), beside(rows.assign(score=1 - rows["score"]), 0.4)
    assert good.baseline == pytest.approx(-np.mean(label * np.log(0.4) + (1 - label) * np.log(0.6)))
    assert bad.baseline == good.baseline
    for signal, worse in ((good, False), (bad, True)):
        assert signal.value is not None
        assert signal.baseline is not None
        assert signal.baseline_noise is not None
        assert (signal.value - signal.baseline > signal.baseline_noise) is worse
        assert abs(signal.value - signal.baseline) > signal.baseline_noise
    unknown, short = beside(rows, None), beside(labelled(1, days=2), 0.4)
    assert (unknown.baseline, unknown.baseline_noise, unknown.noise) == (None, None, good.noise)
    assert (short.baseline_noise, short.noise) == (None, None)
    assert short.baseline is not None
    close = beside(rows.assign(score=0.41), 0.4)
    assert close.baseline_noise is not None
    assert close.noise is not None
    assert close.baseline_noise < 0.5 * close.noise, "days that are hard for both are no noise between them"


def test_an_objective_that_favours_a_guess_calls_no_champion_useless() -> None:
    right = labelled(1, days=28)

    def beside(objective: str) -> PerformanceSignal:
        guess = float(right["label"].mean())
        return measure_performance(
            right, spec(objective=objective), "1", {objective: 0.02}, mean_label=guess
        ).signal

    found = beside("calibration_error")
    assert found.value is not None
    assert found.value > 0.01, "by chance alone, where the mean label has no error at all"
    assert found.noise is not None
    assert (found.baseline, found.baseline_noise) == (None, None)
    rule = Performance(rule="performance", worse_by=9)
    told = find(rule, [week(1, performance=found)])
    assert (told.fires, "mean label" in told.text) == (False, False), told.text
    assert beside("brier").baseline is not None


def test_a_champion_that_is_as_good_as_the_mean_label_is_seldom_called_worse() -> None:
    def beyond(seed: int) -> bool:
        rows = labelled(seed, days=28)
        # As far from the truth as the mean label is, row by row, but by another way.
        shuffled = np.random.default_rng(seed).permutation(rows["score"].to_numpy(np.float64))
        signal = measure_performance(
            rows.assign(label=shuffled > 0.425), spec("regression", "mae"), "1", {"mae": 0.5}, mean_label=0.5
        ).signal
        assert signal.value is not None
        assert signal.baseline is not None
        assert signal.baseline_noise is not None
        return signal.value - signal.baseline > signal.baseline_noise

    assert np.mean([beyond(seed) for seed in range(50)]) < 0.12, "one in twenty is meant to be"


def test_as_many_labelled_rows_as_are_needed_are_enough_and_one_less_is_not() -> None:
    enough, few = (
        measure_performance(labelled(1, rows=rows), spec(), "1", {"log_loss": 0.6}).signal
        for rows in (50, 49)
    )
    assert (enough.value is not None, enough.reason) == (True, "")
    assert (few.value, few.noise, few.rows) == (None, None, 49)
    assert few.reason == "49 labelled rows of version 1, 50 needed"


def test_a_version_of_whose_labels_none_is_known_is_told_all_the_same() -> None:
    shares = {("champion", "1"): 0.9, ("shadow", "2"): 0.0}
    found = measure_performance(labelled(1), spec(), "1", {"log_loss": 0.6}, maturity=shares)
    champion, shadow = found.roles
    assert (champion.role, champion.version, champion.rows, champion.maturity) == ("champion", "1", 1400, 0.9)
    assert str(shadow) == "shadow 2: not measured on 0 rows; 0.0% of its labels are known"
    assert shadow.metrics == {"log_loss": None}
    assert set(found.versions) == {"1"}


def test_days_too_few_to_draw_from_leave_the_error_unknown() -> None:
    signal = measure_performance(labelled(1, days=2), spec(), "1", {"log_loss": 0.6}).signal
    assert signal.value is not None
    assert signal.noise is None


def test_the_estimate_has_the_error_of_its_rows() -> None:
    known = labelled(1, rows=5000)
    estimates = [
        estimate(labelled(seed, rows=2000)["score"].to_numpy(np.float64), known, 0.5) for seed in range(2, 42)
    ]
    values, errors = [], []
    for each in estimates:
        assert not isinstance(each, str)
        values.append(each.metrics["log_loss"])
        errors.append(each.errors["log_loss"])
    assert np.mean(np.array(errors, float)) == pytest.approx(np.std(np.array(values, float)), rel=0.4)


def joined(due: int, came: int, late: int = 0) -> dict[str, Any]:
    return {"predictions": due, "labelled": came, "caught_up": late}


def decisions(*labels: dict[str, Any]) -> list[Decision]:
    weeks = [(START + timedelta(weeks=at), START + timedelta(weeks=at + 1)) for at in range(len(labels))]
    return [
        Decision(f"k{at}", "churn", "1", *week, "keep", "none", "r", {"labels": each}, None, "w")
        for at, (week, each) in enumerate(zip(weeks, labels, strict=True))
    ]


def warned(*labels: dict[str, Any]) -> str:
    *before, last = labels
    return silent_labels(last, decisions(*before), START + timedelta(weeks=len(labels)), "customers")


def test_labels_that_stop_are_warned_of_after_four_windows() -> None:
    none, all_came = joined(100, 0), joined(100, 98)
    assert warned(all_came, none, none, none) == ""
    assert warned(all_came, none, none, none, none) == (
        "; WARNING: labels have not come for 4 windows, since the one ending 2024-01-15 00:00: "
        "nobody knows how the model does. Look at customers"
    )
    assert warned(none, none, all_came, none, none) == ""
    assert warned(none, none, none, none, joined(100, 0, late=90)) == "", "they are late, and come"
    assert "for 4 windows" in warned(none, none, joined(0, 0), none, none), "none was due in one of them"


@given(due=st.integers(0, 10_000), share=st.floats(0, 1))
@settings(max_examples=50)
def test_the_share_of_labels_is_told_where_it_is_small_and_never_without_any_due(
    due: int, share: float
) -> None:
    came = round(due * share)
    told = labels_missing(joined(due, came))
    assert bool(told) == (due > 0 and came < 0.05 * due)
    if told:
        assert told == f"; only {came:,} of {due:,} labels have come ({came / due:.1%})"
