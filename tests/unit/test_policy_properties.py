"""What holds of every policy and whatever it is shown."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepfit.ledger import Decision, Training
from keepfit.policy import (
    Champion,
    DriftSignal,
    FleetLimit,
    History,
    MissingChange,
    PerformanceSignal,
    RegretSignal,
    Score,
    Signals,
    decide,
)
from keepfit.spec import Window
from keepfit.spec.policy import PolicySpec
from keepfit.steps.decide import Memory, before
from keepfit.testing import decay, week

texts = st.text(max_size=5)
numbers = st.none() | st.floats(allow_nan=False)
counts = st.integers(0, 10**12)
moments = st.datetimes(timezones=st.just(UTC))
names = st.lists(texts, max_size=3).map(tuple)
scores = st.builds(Score, numbers, numbers, texts)
SIGNALS = st.builds(
    Signals,
    model=texts,
    window_start=moments,
    window_end=moments,
    rows=counts,
    champion=st.none() | st.builds(Champion, texts, st.none() | moments),
    performance=st.none()
    | st.builds(PerformanceSignal, texts, st.booleans(), counts, *[numbers] * 2, texts, *[numbers] * 3),
    drift=st.none()
    | st.builds(
        DriftSignal, counts, counts, names, numbers, texts,
        st.lists(st.builds(MissingChange, texts, st.floats(0, 1), st.floats(0, 1)), max_size=2).map(tuple),
        names, scores, names,
    ),
    prediction=scores,
    regret=st.none() | st.builds(RegretSignal, numbers, numbers, counts, texts),
    calibration=scores,
    estimate=scores,
    new_rows=st.none() | counts,
)  # fmt: skip
LEAVES: list[dict[str, Any]] = [
    {"rule": "calendar", "every": "91d"},
    {"rule": "drift_share"},
    {"rule": "performance"},
    {"rule": "prediction_drift", "threshold": 0.4},
    {"rule": "weighted_drift", "threshold": 0.4},
    {"rule": "regret", "cost": 0.1},
    {"rule": "upf", "cost": 0.1},
    {"rule": "new_rows", "at_least": 50_000},
]
rules = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: (
        st.builds(lambda of: {"rule": "m_of_n", "m": 2, "n": 3, "of": of}, inner)
        | st.builds(
            lambda kind, of: {"rule": kind, "of": of},
            st.sampled_from(["all", "any"]),
            st.lists(inner, min_size=1, max_size=3),
        )
    ),
    max_leaves=4,
)
policies = st.builds(lambda given: PolicySpec.model_validate({"rules": given}), st.lists(rules, max_size=3))


@given(SIGNALS)
def test_signals_written_and_read_are_the_same(signals: Signals) -> None:
    assert Signals.of_json(json.loads(json.dumps(signals.to_json()))) == signals


def test_evidence_from_before_the_mean_label_was_known_is_read_and_judged_as_it_was() -> None:
    old = week(1).to_json()
    for name in ("baseline", "baseline_noise"):
        del old["performance"][name]
    read = Signals.of_json(json.loads(json.dumps(old)))
    assert read == week(1)
    policy = PolicySpec.model_validate({"rules": [{"rule": "performance"}]})
    assert decide(read, (), policy, History()).reason == (
        "log_loss 0.4581 on 6,213 labelled rows is within 10 % of the holdout's 0.4420"
    )


@given(
    seen=st.lists(SIGNALS, min_size=1, max_size=5),
    policy=policies,
    history=st.builds(
        History,
        retrained=st.lists(moments, max_size=3).map(tuple),
        refused=st.lists(st.tuples(moments, st.sampled_from(["", "calendar", "regret"])), max_size=4).map(
            tuple
        ),
        fleet=st.lists(moments, max_size=3).map(tuple),
    ),
)
def test_whatever_it_is_shown_a_policy_answers_in_words(
    seen: list[Signals], policy: PolicySpec, history: History
) -> None:
    verdict = decide(seen[-1], seen[:-1], policy, history, FleetLimit(2))
    assert verdict.word in ("retrain", "keep", "insufficient", "blocked")
    assert verdict.reason
    assert (verdict.trigger != "none") or verdict.word != "retrain"


@given(policy=policies, number=st.integers(1, 6), shuffled=st.randoms())
def test_the_order_in_which_the_past_is_listed_does_not_matter(
    policy: PolicySpec, number: int, shuffled: Any
) -> None:
    now = decay(number)
    decisions = [decided(each, "keep") for each in (decay(1), week(1), week(2), decay(3), week(4), decay(5))]
    trainings = [trained(each, how) for each, how in ((1, "fail"), (2, "fail"), (2, "pass"), (3, "fail"))]
    asked = [decided(each, "retrain") for each in (decay(9), week(3))]
    expected = answer(now, policy, decisions, trainings, asked)
    for each in (decisions, trainings, asked):
        shuffled.shuffle(each)
    assert answer(now, policy, decisions, trainings, asked) == expected


def answer(
    now: Signals,
    policy: PolicySpec,
    decisions: Sequence[Decision],
    trainings: Sequence[Training],
    asked: Sequence[Decision],
) -> object:
    past = Memory([*decisions, *asked], trainings, asked)
    window = Window(now.window_start, now.window_end)
    return decide(now, before(now, past.decisions), policy, past.history("key", window), FleetLimit(3))


def decided(signals: Signals, word: Any) -> Decision:
    window = Window(signals.window_start, signals.window_end)
    return Decision(
        key=f"churn:{signals.regret}:{window.key}",
        model="churn",
        policy_version="1",
        window_start=window.start,
        window_end=window.end,
        verdict=word,
        trigger="none",
        reason="",
        evidence={"signals": json.loads(json.dumps(signals.to_json()))},
        run_id=None,
        decided_by="test",
        decided_at=datetime(2025, 1, 1, tzinfo=UTC),
    )


def trained(number: int, verdict: Any) -> Training:
    return Training(f"r{number}", "churn", None, week(number).window_end, None, verdict, (), {})


def test_the_windows_before_are_the_champions_own_by_time_as_measured_last() -> None:
    remeasured = replace(decided(decay(2), "keep"), decided_at=datetime(2025, 1, 2, tzinfo=UTC))
    others = week(1, champion=Champion("2", None))
    decisions = [
        remeasured,
        *(decided(each, "keep") for each in (week(3), week(2), others, week(5), week(4))),
    ]
    for listed in permutations(decisions[:3]):
        found = before(week(4), [*listed, *decisions[3:]])
        assert found == [decay(2), week(3)]


def test_challengers_refused_in_a_row_are_counted_back_to_the_last_that_passed() -> None:
    ended = ["fail", "pass", "undecided", "error", "fail", "fail"]
    trainings = [trained(number, each) for number, each in enumerate(ended, 1)]
    window = Window(week(5).window_start, week(5).window_end)
    trainings[2] = replace(trainings[2], decision_key="asked")
    asked = replace(decided(week(3), "retrain"), key="asked", trigger="performance")
    # What nobody has decided was asked for by no signal.
    assert Memory([asked], trainings).history("key", window).refused == (
        (week(3).window_end, "performance"),
        (week(5).window_end, ""),
    )


@pytest.mark.parametrize("swing", [0.0, 1e-9, 0.3])
@pytest.mark.parametrize(("cooldown", "budget"), [(28, 3), (0, 2), (56, 9)])
def test_a_signal_that_swings_about_its_threshold_stays_within_budget_and_cool_down(
    swing: float, cooldown: int, budget: int
) -> None:
    policy = PolicySpec.model_validate(
        {
            "rules": [{"rule": "prediction_drift", "threshold": 0.4}],
            "cooldown": f"{cooldown}d",
            "budget": budget,
            "budget_period": "90d",
        }
    )
    asked: list[datetime] = []
    for number in range(1, 101):
        high = 0.4 + (swing if number % 2 else -swing)
        now = week(number, prediction=Score(high, 0.01, ""), regret=None)
        verdict = decide(now, (), policy, History(tuple(asked)))
        if verdict.word == "retrain":
            asked.append(now.window_end)
        elif high >= 0.4:
            assert verdict.trigger == "prediction_drift"
            assert verdict.reason.startswith(("cool-down of ", "budget: "))
    assert asked
    for at, end in enumerate(asked):
        assert all(end - other >= timedelta(days=cooldown) for other in asked[:at])
        assert sum(timedelta() <= end - other < timedelta(days=90) for other in asked) <= budget
