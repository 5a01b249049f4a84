"""What each rule says of a window, in words and at its edges."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from keepfit.policy import Champion, DriftSignal, Finding, PerformanceSignal, RegretSignal, Score, Signals
from keepfit.policy.history import is_signal
from keepfit.policy.rules import find
from keepfit.spec.policy import PolicySpec
from keepfit.testing import blind_week, week

WEEKS = [week(number) for number in range(1, 13)]
LOUD = DriftSignal(6500, 4, ("a", "b", "c"), 0.75)
NAN, INF = float("nan"), float("inf")


def judged(rule: dict[str, Any], *seen: Signals) -> Finding:
    [read] = PolicySpec.model_validate({"rules": [rule]}).rules
    return find(read, seen)


def drifted(*numbers: int, of: int, blind: Sequence[int] = (), gone: Sequence[int] = ()) -> list[Signals]:
    """Return weeks of which some have drifted, of some nothing is known, and some are not there."""
    return [
        blind_week(number)
        if number in blind
        else week(number, drift=LOUD)
        if number in numbers
        else week(number)
        for number in range(1, of + 1)
        if number not in gone
    ]


def owing(*regrets: float | None, noise: float | None = None) -> list[Signals]:
    return [
        week(number, regret=RegretSignal(each, noise, 1000, "" if each is not None else "no labels yet"))
        for number, each in enumerate(regrets, 1)
    ]


@pytest.mark.parametrize(
    ("every", "fires", "text"),
    [
        ("8d", False, "the champion's data is 7 d old (limit 8 d)"),
        ("7d", True, "the champion's data is 7 d old (limit 7 d)"),
    ],
)
def test_the_calendar_goes_by_the_age_of_the_champions_data(every: str, fires: bool, text: str) -> None:
    found = judged({"rule": "calendar", "every": every}, week(1))
    assert found == Finding("calendar", fires, text, "clock")


@pytest.mark.parametrize(
    "rule",
    [
        {"rule": "calendar", "every": "1d"},
        {"rule": "new_rows", "at_least": 1},
        {"rule": "performance"},
        {"rule": "drift_share"},
        {"rule": "prediction_drift", "threshold": 0.1},
        {"rule": "weighted_drift", "threshold": 0.1},
        {"rule": "regret", "cost": 1},
        {"rule": "upf", "cost": 1},
        {"rule": "any", "of": [{"rule": "performance"}, {"rule": "calendar", "every": "1d"}]},
        {"rule": "m_of_n", "m": 1, "n": 2, "of": {"rule": "new_rows", "at_least": 1}},
    ],
)
def test_the_circuit_breaker_knows_by_its_name_what_looks_at_the_champion(rule: dict[str, Any]) -> None:
    found = judged(rule, week(1, new_rows=5))
    assert is_signal(found.trigger) == (found.sees != "clock")


def test_the_calendar_does_not_ask_after_a_window_from_before_the_champions_data() -> None:
    champion = Champion("2", week(1).window_end + timedelta(days=3))
    found = judged({"rule": "calendar", "every": "8d"}, week(1, champion=champion))
    text = "the champion's data is 3 d newer than the window (limit 8 d)"
    assert found == Finding("calendar", False, text, "clock")


def test_a_month_that_nobody_looked_at_is_one_of_the_last_two() -> None:
    january, march = (
        week(1, drift=LOUD, window_start=start, window_end=end)
        for start, end in (
            (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)),
            (datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)),
        )
    )
    found = judged({"rule": "m_of_n", "m": 2, "n": 2, "of": {"rule": "drift_share"}}, january, march)
    assert (found.fires, found.text.startswith("1 of the last 2 windows (2 needed, 1 not judged)")) == (
        None,
        True,
    )


def test_the_calendar_does_not_know_an_age_that_nobody_recorded() -> None:
    found = judged({"rule": "calendar", "every": "7d"}, week(1, champion=Champion("1", None)))
    assert (found.fires, found.text) == (None, "the champion's training time is not recorded")


@pytest.mark.parametrize(
    ("rows", "fires", "text"),
    [
        (999, False, "999 new labelled rows < 1,000"),
        (1000, True, "1,000 new labelled rows >= 1,000"),
        (None, None, "new labelled rows were not counted"),
    ],
)
def test_new_rows_are_counted(rows: int | None, fires: bool | None, text: str) -> None:
    found = judged({"rule": "new_rows", "at_least": 1000}, week(1, new_rows=rows))
    assert (found.fires, found.text) == (fires, text)


@pytest.mark.parametrize(
    ("share", "fires", "text"),
    [
        (0.49, False, "2 of 4 columns drifted (share 0.49 < 0.50)"),
        (0.5, True, "2 of 4 columns drifted (share 0.50 >= 0.50)"),
        (None, None, "drift not judged: too few rows"),
        (NAN, None, "drift not judged: too few rows"),
    ],
)
def test_the_share_of_drifted_columns(share: float | None, fires: bool | None, text: str) -> None:
    drift = DriftSignal(6500, 4, ("a", "b"), share, "too few rows")
    found = judged({"rule": "drift_share"}, week(1, drift=drift))
    assert found == Finding("drift_share", fires, text, "shift")


@pytest.mark.parametrize(
    ("value", "holdout", "upwards", "fires"),
    [
        (0.4861, 0.4420, False, False),
        (0.4863, 0.4420, False, True),
        (0.63, 0.70, True, False),
        (0.62, 0.70, True, True),
        (0.80, 0.70, True, False),
        (-0.21, -0.20, True, False),
        (-0.23, -0.20, True, True),
        (-0.1, 0.0, True, True),
        (0.0, 0.0, True, False),
        (None, 0.4420, False, None),
        (0.4420, None, False, None),
        (NAN, 0.4420, False, None),
        (0.4420, INF, False, None),
    ],
)
def test_performance_is_held_against_the_holdout(
    value: float | None, holdout: float | None, upwards: bool, fires: bool | None
) -> None:
    signal = PerformanceSignal("r2", upwards, 900, value, holdout, "40 labelled rows of 500")
    assert judged({"rule": "performance"}, week(1, performance=signal)).fires is fires


@pytest.mark.parametrize(
    ("value", "baseline", "noise", "upwards", "fires"),
    [
        (0.90, 0.60, 0.05, False, True),
        (0.90, 0.60, 0.31, False, False),
        (0.90, 0.90, 0.00, False, False),
        (0.90, 0.95, 0.01, False, False),
        (0.90, 0.60, None, False, False),
        (0.90, None, 0.05, False, False),
        (0.90, INF, 0.05, False, False),
        (0.90, 0.60, NAN, False, False),
        (0.44, 0.50, 0.05, True, True),
        (0.44, 0.50, 0.07, True, False),
        (0.44, 0.40, 0.01, True, False),
    ],
)
def test_a_champion_as_bad_as_its_holdout_is_held_against_no_model_at_all(
    value: float, baseline: float | None, noise: float | None, upwards: bool, fires: bool
) -> None:
    signal = PerformanceSignal("roc_auc", upwards, 900, value, value, baseline=baseline, baseline_noise=noise)
    assert judged({"rule": "performance"}, week(1, performance=signal)).fires is fires


def test_performance_says_that_the_mean_label_would_do_better() -> None:
    signal = PerformanceSignal(
        "log_loss", False, 6213, 0.9120, 0.8990, baseline=0.5512, baseline_noise=0.0421
    )
    found = judged({"rule": "performance", "worse_by": 0.1}, week(1, performance=signal))
    assert found == Finding(
        "performance",
        True,
        "log_loss 0.9120 on 6,213 labelled rows is within 10 % of the holdout's 0.8990, but 0.3608 worse "
        "than the 0.5512 that the mean label of that holdout comes to, given to every row (chance alone "
        "0.042)",
    )


def test_performance_says_its_numbers() -> None:
    def told(value: float | None, holdout: float | None) -> str:
        signal = PerformanceSignal("log_loss", False, 6213, value, holdout, "40 labelled rows of 500")
        return judged({"rule": "performance", "worse_by": 0.1}, week(1, performance=signal)).text

    assert told(0.4581, 0.4420) == (
        "log_loss 0.4581 on 6,213 labelled rows is within 10 % of the holdout's 0.4420"
    )
    assert told(0.5120, 0.4420) == (
        "log_loss 0.5120 on 6,213 labelled rows is 15.8 % worse than the holdout's 0.4420 (limit 10 %)"
    )
    assert (
        told(0.1, 0.0)
        == "log_loss 0.1000 on 6,213 labelled rows is worse than the holdout's 0.0000 (limit 10 %)"
    )
    assert told(None, 0.4420) == "log_loss not judged: 40 labelled rows of 500"
    assert (
        judged({"rule": "performance"}, week(1, performance=None)).text
        == "performance not judged: not measured"
    )


@pytest.mark.parametrize(
    ("score", "fires", "text"),
    [
        (Score(0.099, 0.02, ""), False, "0.099 < 0.1, chance alone 0.02"),
        (Score(0.1, None, ""), True, "0.1 >= 0.1"),
        (Score(None, None, "no holdout was kept"), None, "not judged: no holdout was kept"),
        (Score(INF, None, ""), None, "not judged: it is not a finite number"),
        (Score(), None, "not judged: not measured"),
    ],
)
def test_a_distance_is_held_against_its_threshold(score: Score, fires: bool | None, text: str) -> None:
    scores = judged({"rule": "prediction_drift", "threshold": 0.1}, week(1, prediction=score))
    assert scores == Finding("prediction_drift", fires, f"the scores' drift {text}", "shift")
    drift = DriftSignal(6500, 4, (), 0.0, weighted=score)
    weighted = judged({"rule": "weighted_drift", "threshold": 0.1}, week(1, drift=drift))
    assert weighted == Finding("weighted_drift", fires, f"the weighted drift {text}", "shift")


def test_weighted_drift_without_any_drift_is_not_judged() -> None:
    found = judged({"rule": "weighted_drift", "threshold": 0.1}, week(1, drift=None))
    assert (found.fires, found.text) == (None, "the weighted drift not judged: not measured")


def test_regret_adds_up_to_the_cost_of_a_training() -> None:
    seen = owing(0.5, 0.25, 0.25)
    found = judged({"rule": "regret", "cost": 1.0}, *seen)
    assert (found.fires, found.text) == (
        True,
        "a fresh challenger would have saved 1 in 3 windows >= the cost of a training, 1",
    )
    assert judged({"rule": "regret", "cost": 1.001}, *seen).fires is False
    assert judged({"rule": "regret", "cost": 1.0}, *seen[:2]).text == (
        "a fresh challenger would have saved 0.75 in 2 windows < the cost of a training, 1"
    )


def test_regret_keeps_no_credit_but_what_is_owed_is_paid_back() -> None:
    rule = {"rule": "regret", "cost": 1.0}
    assert judged(rule, *owing(-9.0, -9.0, 0.6, 0.5)).text.startswith(
        "a fresh challenger would have saved 1.1 in 2"
    )
    assert judged(rule, *owing(0.9, -0.5, 0.5)).text.startswith(
        "a fresh challenger would have saved 0.9 in 3"
    )


def test_even_a_little_credit_is_not_kept() -> None:
    found = judged({"rule": "regret", "cost": 0.3}, *owing(-0.1, 0.3))
    assert (found.fires, "would have saved 0.3 in 1 windows" in found.text) == (True, True)


def test_regret_that_chance_alone_explains_is_no_regret() -> None:
    rule = {"rule": "regret", "cost": 1.0}
    found = judged(rule, *owing(0.6, 0.6, noise=0.9))
    assert (found.fires, found.text) == (
        False,
        "a fresh challenger would have saved 1.2 in 2 windows, chance alone 1.3 >= the cost of a training, 1",
    )
    assert judged(rule, *owing(0.6, 0.6, noise=0.8)).fires is True
    assert judged(rule, *owing(0.6, 0.6, noise=NAN)).fires is False


def test_windows_without_a_regret_are_left_out_of_the_sum_but_the_newest_needs_one() -> None:
    rule = {"rule": "regret", "cost": 1.0}
    assert judged(rule, *owing(0.5, None, 0.5)).fires is True
    found = judged(rule, *owing(5.0, 5.0, None))
    assert (found.fires, found.text) == (None, "regret not judged: no labels yet")
    assert judged(rule, week(1, regret=None)).text == "regret not judged: no challenger was trained"
    assert judged(rule, *owing(NAN)).text == "regret not judged: it is not a finite number"


def test_a_forecast_of_regret_is_that_of_numpy() -> None:
    chance = np.random.default_rng(5)
    ages = np.arange(1, 9)
    regrets = 0.03 * ages + chance.normal(0, 0.05, 8)
    (slope,), (rest,), *_ = np.linalg.lstsq(ages[:, None].astype(float), regrets, rcond=None)
    variance = rest / 7
    ahead = np.arange(9, 14).sum()
    mean, deviation = slope * ahead, np.sqrt(variance * (5 + ahead**2 / (ages**2).sum()))
    cost = round(float(mean - deviation), 3)
    sure = float(norm.sf(cost, mean, deviation))
    rule = {"rule": "upf", "cost": cost, "horizon": 5}
    found = judged({**rule, "confidence": sure + 1e-6}, *owing(*regrets))
    assert found.text == (
        f"the regret of the next 5 windows is forecast as {mean:.4g} +- {deviation:.2g}: it exceeds the cost "
        f"of a training, {cost:.4g}, with a chance of {100 * sure:.3g} % < {100 * sure:.3g} %"
    )
    assert found.fires is False
    assert judged({**rule, "confidence": sure - 1e-6}, *owing(*regrets)).fires is True

    # What is uncertain are the slope and each window to come.
    slopes = chance.normal(slope, np.sqrt(variance / (ages**2).sum()), 200_000)
    drawn = slopes * ahead + chance.normal(0, np.sqrt(variance * 5), 200_000)
    assert (drawn > cost).mean() == pytest.approx(sure, abs=0.01)


def test_a_forecast_scatters_at_least_as_much_as_its_points_are_uncertain() -> None:
    rule = {"rule": "upf", "cost": 1.0, "horizon": 2}
    exact = judged(rule, *owing(0.1, 0.2, 0.3))
    assert (exact.fires, "with a chance of 0 % < 80 %" in exact.text) == (False, True)
    assert "0.9 +- " in exact.text
    blurred = judged(rule, *owing(0.1, 0.2, 0.3, noise=0.2))
    deviation = np.sqrt(0.2**2 * (2 + 9**2 / 14))
    assert f"0.9 +- {deviation:.2g}:" in blurred.text


def test_a_forecast_goes_by_age_so_windows_nobody_looked_at_do_not_count_as_young() -> None:
    grows = owing(0.1, 0.2, 0.3, 0.4, 0.5)
    rule = {"rule": "upf", "cost": 1.0, "horizon": 2}
    whole, gap = judged(rule, *grows), judged(rule, *grows[:1], *grows[3:])
    assert "forecast as 1.3 +-" in whole.text
    assert "forecast as 1.3 +-" in gap.text


def test_a_forecast_needs_windows_and_says_how_many() -> None:
    rule = {"rule": "upf", "cost": 1.0}
    assert judged(rule, *owing(0.1, None, 0.3)).text == "regret not forecast: 2 windows of 3 needed"
    assert judged(rule, *owing(0.1, 0.2, None)).text == "regret not forecast: no labels yet"
    large = judged(rule, *owing(1e200, -1e200, 1e300))
    assert (large.fires, large.text) == (None, "regret not forecast: its numbers are too large")
    unrecorded = [
        week(number, regret=RegretSignal(0.1 * number), champion=Champion("1", None)) for number in (1, 2, 3)
    ]
    assert "forecast as 2.2 +-" in judged(rule, *unrecorded).text


TWO_OF_THREE = {"rule": "m_of_n", "m": 2, "n": 3, "of": {"rule": "drift_share"}}


@pytest.mark.parametrize(
    ("seen", "fires"),
    [
        (drifted(3, of=3), False),
        (drifted(1, 3, of=3), True),
        (drifted(2, 3, of=3), True),
        (drifted(1, 2, of=3), False),
        (drifted(1, 4, of=4), False),
        (drifted(1, of=1), False),
        (drifted(1, 2, of=2), True),
        (drifted(1, 2, 3, of=3, blind=[3]), None),
        (drifted(3, of=3, blind=[1]), None),
        (drifted(2, 3, of=3, blind=[1]), True),
        (drifted(3, of=3, gone=[2]), None),
        (drifted(1, 5, of=5, gone=[3, 4]), None),
        (drifted(1, 4, of=4, gone=[2]), None),
        (drifted(1, 2, 9, of=9, gone=[3, 4, 5, 6, 7, 8]), None),
        (drifted(1, 4, of=5, gone=[2, 3]), False),
    ],
)
def test_persistence_over_the_last_windows_in_time(seen: list[Signals], fires: bool | None) -> None:
    assert judged(TWO_OF_THREE, *seen).fires is fires


def test_persistence_says_what_was_not_judged() -> None:
    assert judged(TWO_OF_THREE, *drifted(2, 3, of=3)) == Finding(
        "drift_share",
        True,
        "2 of the last 3 windows (2 needed): 3 of 4 columns drifted (share 0.75 >= 0.50)",
        "shift",
    )
    assert judged(TWO_OF_THREE, *drifted(4, of=4, gone=[3], blind=[2])).text.startswith(
        "1 of the last 3 windows (2 needed, 2 not judged): "
    )


def test_months_are_windows_of_different_lengths() -> None:
    ends = [31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365]
    months = [
        week(1, drift=LOUD, window_start=week(1).window_start + timedelta(days=start),
             window_end=week(1).window_start + timedelta(days=end))
        for start, end in zip([0, *ends], ends, strict=False)
    ]  # fmt: skip
    for n in range(1, 13):
        found = judged({"rule": "m_of_n", "m": n, "n": n, "of": {"rule": "drift_share"}}, *months)
        assert (found.fires, found.text.partition(":")[0]) == (
            True,
            f"{n} of the last {n} windows ({n} needed)",
        )


YES, NO = {"rule": "drift_share", "share": 0.01}, {"rule": "drift_share", "share": 0.99}
UNKNOWN = {"rule": "new_rows", "at_least": 5}


@pytest.mark.parametrize(
    ("parts", "all_of", "any_of"),
    [
        ([YES], True, True),
        ([NO], False, False),
        ([UNKNOWN], None, None),
        ([YES, YES], True, True),
        ([YES, NO], False, True),
        ([NO, NO], False, False),
        ([YES, UNKNOWN], None, True),
        ([NO, UNKNOWN], False, None),
        ([UNKNOWN, UNKNOWN], None, None),
        ([UNKNOWN, YES, NO], False, True),
    ],
)
def test_what_is_unknown_stays_so_unless_the_rest_decides(
    parts: list[Any], all_of: bool | None, any_of: bool | None
) -> None:
    seen = week(1, new_rows=None)
    assert judged({"rule": "all", "of": parts}, seen).fires is all_of
    assert judged({"rule": "any", "of": parts}, seen).fires is any_of


def test_a_combination_is_named_by_the_part_that_tells_most() -> None:
    loud = week(1, drift=LOUD, performance=PerformanceSignal("log_loss", False, 900, 0.9, 0.4))
    three = [{"rule": "calendar", "every": "7d"}, {"rule": "drift_share"}, {"rule": "performance"}]
    assert [judged({"rule": "all", "of": three[:n]}, loud).trigger for n in (1, 2, 3)] == [
        "calendar",
        "drift_share",
        "performance",
    ]
    # Where each part is enough by itself, the calendar's has nothing to do with the shift.
    either = judged({"rule": "any", "of": [three[1], three[0]]}, loud)
    assert (either.trigger, either.sees) == ("calendar", "clock")
    assert either.text == (
        "any of [3 of 4 columns drifted (share 0.75 >= 0.50); the champion's data is 7 d old (limit 7 d)]"
    )
    blind = judged({"rule": "all", "of": [three[0], three[2]]}, week(1, performance=None))
    assert (blind.trigger, blind.fires, blind.sees) == ("performance", None, "harm")
