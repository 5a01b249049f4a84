"""Thresholds for a stated rate of false alarms, and the smallest shift that they would see."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.backends.sketches import Sketch, sketch_values
from keepfit.backends.sketches.sketch import of_texts
from keepfit.errors import ConfError
from keepfit.spec.model import DriftSpec
from keepfit.spec.window import Window
from keepfit.steps.alarms import needed, threshold_of
from keepfit.steps.calibrate import Quiet, calibrate
from keepfit.steps.calibration import Calibration
from keepfit.steps.detect_drift import detect_drift
from keepfit.steps.faults import find_faults
from keepfit.steps.quiet_column import FIRST
from keepfit.steps.shifts import SHIFTS
from keepfit.steps.weighted_drift import weighted_drift

WEEK = timedelta(days=7)
LIMIT, SEEN_ALWAYS, SLACK = 0.1, 1.0, 0.1
START = datetime(2024, 1, 1, tzinfo=UTC)


def half(chance: np.random.Generator, rows: int, mean: float) -> dict[str, Sketch]:
    """Draw half a window: a number that wanders from week to week, a steady one, a category, the scores."""
    kinds, counts = np.unique(chance.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]), return_counts=True)
    return {
        "wandering": sketch_values(np.round(chance.normal(mean, 1, rows), 1)),
        "steady": sketch_values(np.round(chance.normal(0, 1, rows), 2)),
        "kind": of_texts(dict(zip(kinds.tolist(), counts.tolist(), strict=True)), rows),
        "score": sketch_values(chance.beta(2, 5, rows)),
    }


def quiet(number: int, seed: int = 0, rows: int = 300, wander: float = 0.4) -> list[Quiet]:
    chance = np.random.default_rng(seed)
    weeks = [Window(START + at * WEEK, START + (at + 1) * WEEK) for at in range(number)]
    means = chance.normal(0, wander, number)
    return [
        Quiet(week, (half(chance, rows, mean), half(chance, rows, mean)))
        for week, mean in zip(weeks, means, strict=True)
    ]


@cache
def calibrated() -> Calibration:
    return calibrate(quiet(60), DriftSpec(), 0.1, {"share": 0.5}, {"wandering": 3.0, "steady": 1.0})


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rate=st.sampled_from([0.05, 0.1, 0.2]))
def test_the_rate_of_false_alarms_is_kept_on_windows_not_seen(seed: int, rate: float) -> None:
    """Over 300 histories of 100 windows, so that chance moves the mean by less than 0.02."""
    chance = np.random.default_rng(seed)
    found = []
    for scores in chance.lognormal(0, 1, (300, 100)):
        threshold = threshold_of(scores.tolist(), rate)
        assert threshold is not None
        found.append(np.mean(chance.lognormal(0, 1, 100) > threshold))
    assert float(np.mean(found)) == pytest.approx(rate, abs=0.02)


def test_time_makes_a_column_alarm_that_chance_does_not() -> None:
    alarms = {name: each.alarm for name, each in calibrated().columns.items()}
    wandering = alarms["wandering"]
    assert wandering.used == LIMIT
    assert wandering.by_chance is not None
    assert wandering.by_time is not None
    assert wandering.by_time > 2 * wandering.by_chance


def test_a_threshold_is_chosen_on_the_first_windows_and_tried_on_the_rest() -> None:
    for name, each in calibrated().columns.items():
        alarm = each.alarm
        assert (alarm.name, alarm.windows, alarm.held_out_windows) == (name, 37, 19)
        assert alarm.threshold is not None
        assert alarm.held_out is not None
        assert alarm.held_out <= LIMIT + 3 * SLACK


def test_a_wandering_column_hides_shifts_that_a_steady_one_shows() -> None:
    smallest = {
        name: {each.shift: each.smallest for each in column.powers}
        for name, column in calibrated().columns.items()
    }
    assert smallest["steady"]["mean"] in (0.1, 0.2, 0.3)
    assert (smallest["wandering"]["mean"] or 9) > (smallest["steady"]["mean"] or 9)
    assert set(smallest["steady"]) == {"mean", "scale", "missing"}
    assert set(smallest["kind"]) == {"missing", "unseen"}
    assert smallest["kind"]["unseen"] == SHIFTS["unseen"].grades[0]


def test_a_larger_shift_is_seen_more_often() -> None:
    for name in ("steady", "kind", "score"):
        for power in calibrated().columns[name].powers:
            seen = list(power.seen.values())
            assert all(later >= earlier - SLACK for earlier, later in pairwise(seen))
            assert seen[-1] == SEEN_ALWAYS


def test_signals_of_all_columns_have_thresholds_too() -> None:
    signals = calibrated().signals
    assert set(signals) == {"share", "weighted", "prediction"}
    assert all(each.threshold is not None for each in signals.values())
    assert (signals["share"].used, signals["weighted"].used) == (0.5, None)


@pytest.mark.parametrize("spec", [DriftSpec(), DriftSpec(threshold=0.25)])
def test_weighted_drift_is_calibrated_in_the_unit_in_which_it_is_measured(spec: DriftSpec) -> None:
    windows, shares = quiet(60), {"wandering": 0.75, "steady": 0.25}
    alarm = calibrate(windows, spec, 0.1, {"weighted": 1.0}, shares).signals["weighted"]
    merged, live = windows[0].whole, []
    for at, each in enumerate(windows[1:], 1):
        if at >= FIRST:
            live.append(
                weighted_drift(detect_drift(merged, each.whole, list(shares), spec).columns, shares, "1")
            )
        merged = {name: one.merge(each.whole[name]) for name, one in merged.items()}
    measured = [each.value for each in live if each.value is not None]
    assert alarm.by_time == pytest.approx(np.mean([each >= 1.0 for each in measured]))
    assert alarm.threshold == pytest.approx(threshold_of(measured[: alarm.windows], 0.1))


def test_a_threshold_for_p_values_is_not_taken_for_one_of_distances() -> None:
    found = calibrate(quiet(60), DriftSpec(method="ks", threshold=0.01), 0.1)
    assert found.columns["steady"].alarm.used == LIMIT


def test_the_same_windows_give_the_same_calibration_and_it_can_be_stored() -> None:
    again = calibrate(quiet(60), DriftSpec(), 0.1, {"share": 0.5}, {"wandering": 3.0, "steady": 1.0})
    assert again == calibrated()
    assert Calibration.of_json(json.loads(json.dumps(again.to_json()))) == again


def test_too_short_a_history_is_insufficient_and_says_how_much_is_needed() -> None:
    found = calibrate(quiet(10), None, 0.05)
    alarm = found.columns["steady"].alarm
    assert alarm.threshold is None
    assert alarm.reason == (
        "insufficient data: 4 windows to choose from, 19 needed for false alarms in 0.05 of them"
    )
    assert found.jumps == {}
    assert [needed(rate) for rate in (0.05, 0.1, 0.5)] == [19, 9, 1]
    assert calibrate([], None, 0.05).columns == {}


def test_windows_that_overlap_are_refused() -> None:
    one, two, *_ = quiet(3)
    with pytest.raises(ConfError, match=r"20240108T.*20240101T.* overlap or are out of order: their rows"):
        calibrate([two, one], None, 0.05)
    later = replace(two, window=Window(two.window.start - timedelta(days=1), two.window.end))
    with pytest.raises(ConfError, match="overlap or are out of order"):
        calibrate([one, later], None, 0.05)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ConfError, match=r"is none\. Give one between 0 and 1, as 0\.05"):
        calibrate([], None, rate)


def test_a_column_jumps_that_moves_as_it_never_did() -> None:
    before, now = (each.whole for each in quiet(2, seed=5, wander=0.0))
    moved = {**now, "steady": now["steady"].shifted(0.5)}
    assert find_faults(before, [before], now, calibrated()).jumped == ()
    assert find_faults(before, [before], moved, calibrated()).jumped == ("steady",)
    assert find_faults(before, [before], moved).jumped == ()
