"""Walking policies over a matrix, and the best that anyone could have done."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations, count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keepfit.errors import ReplayError
from keepfit.ledger import Ledger, Training, migrate
from keepfit.policy import Matrix, Signals, Walk, frontier, needs_challenger, oracle, walk
from keepfit.policy.signals import DriftSignal, MissingChange, PerformanceSignal, RegretSignal, Score
from keepfit.spec.model import ModelSpec
from keepfit.spec.policy import PolicySpec
from keepfit.spec.window import Window
from keepfit.steps.decide import Measured, Memory, make_decision
from keepfit.testing import matrix

WEEKLY = {"rules": [{"rule": "calendar", "every": "7d"}], "cooldown": "0d", "max_refused": None}
NEVER = PolicySpec(rules=())


def policy(**fields: Any) -> PolicySpec:
    return PolicySpec.model_validate(WEEKLY | fields)


def ageing(cut: int, at: int) -> float:
    """A model of this age loses so much: nothing when fresh."""
    return float(at - cut)


def champions(walked: Walk) -> list[int]:
    return [each.champion for each in walked.steps]


def test_a_policy_without_rules_keeps_the_first_model() -> None:
    walked = walk(NEVER, matrix(4, ageing))
    assert champions(walked) == [0, 0, 0, 0]
    assert (walked.loss, walked.trainings, walked.cost(10.0)) == (6.0, 0, 6.0)


def test_a_challenger_that_passes_answers_from_the_next_window_on() -> None:
    walked = walk(policy(rules=[{"rule": "calendar", "every": "14d"}]), matrix(5, ageing))
    assert champions(walked) == [0, 0, 2, 2, 4]
    assert [each.verdict.word for each in walked.steps] == ["keep", "retrain", "keep", "retrain", "keep"]
    assert (walked.loss, walked.trainings, walked.refusals) == (2.0, 2, 0)
    assert walked.cost(0.5) == 3.0


def test_a_training_whose_model_answers_no_window_of_the_walk_is_not_paid_for() -> None:
    walked = walk(policy(), matrix(3, ageing))
    assert [each.verdict.word for each in walked.steps] == ["retrain"] * 3
    assert walked.trainings == 2


def test_a_refused_challenger_is_paid_for_and_the_champion_stays() -> None:
    made = matrix(4, ageing, passes=lambda _old, new: new != 1)
    walked = walk(policy(), made)
    assert champions(walked) == [0, 0, 2, 3]
    assert (walked.trainings, walked.refusals) == (3, 1)
    assert champions(walk(policy(), made, gate=False)) == [0, 1, 2, 3]


def test_after_the_third_refusal_in_a_row_the_circuit_breaker_holds() -> None:
    made = matrix(8, ageing, passes=lambda _old, _new: False)
    walked = walk(policy(max_refused=3, rest="21d"), made)
    assert [each.verdict.word for each in walked.steps] == ["retrain"] * 3 + ["keep"] * 2 + ["retrain"] + [
        "keep"
    ] * 2
    assert "the last 3 challengers were refused" in walked.steps[3].verdict.reason


@pytest.mark.parametrize("broke", range(45, 60))
def test_the_default_policy_answers_a_break_though_its_calendar_was_refused_in_quiet_times(
    broke: int,
) -> None:
    learnt = broke + 3

    def measured(cut: int, at: int) -> dict[str, Any]:
        value = 1.0 if at > broke and cut < learnt else 0.5
        return {"performance": PerformanceSignal("log_loss", False, 900, value, 0.5)}

    made = matrix(
        80,
        lambda cut, at: 1.0 if at >= broke and cut < learnt else 0.5,
        measured=measured,
        passes=lambda old, new: old < learnt <= new,
    )
    steps = walk(PolicySpec(), made).steps
    assert sum(each.passed is False for each in steps[:broke]) >= 3
    assert next(each.window for each in steps if each.champion) == learnt


def test_a_challenger_that_passes_ends_the_row_of_refusals() -> None:
    made = matrix(6, ageing, passes=lambda _old, new: new == 2)
    walked = walk(policy(max_refused=2, rest="70d"), made)
    assert [each.verdict.word for each in walked.steps] == ["retrain"] * 4 + ["keep"] * 2


def test_cool_down_and_budget_hold_back_in_replay_as_they_do_live() -> None:
    cooled = walk(policy(cooldown="21d"), matrix(6, ageing))
    assert [each.verdict.word for each in cooled.steps] == ["retrain", "keep", "keep"] * 2
    spent = walk(policy(budget=2, budget_period="90d"), matrix(6, ageing))
    assert spent.trainings == 2


def test_rows_that_a_refused_challenger_has_seen_are_not_new() -> None:
    made = matrix(
        6,
        ageing,
        measured=lambda cut, at: {"new_rows": 100 * (at + 1 - cut)},
        passes=lambda _old, _new: False,
    )
    rules = [{"rule": "new_rows", "at_least": 300}]
    walked = walk(policy(rules=rules), made)
    assert [each.verdict.word for each in walked.steps] == ["keep", "keep", "retrain"] * 2


def test_a_rule_sees_the_windows_under_the_present_champion_only() -> None:
    made = matrix(6, ageing, measured=lambda cut, at: {"regret": RegretSignal(float(at - cut), 0.0, 100)})
    walked = walk(policy(rules=[{"rule": "regret", "cost": 3.0}]), made)
    # 0 + 1 + 2 reach 3 after the third window, and again three windows later.
    assert champions(walked) == [0, 0, 0, 3, 3, 3]


def test_a_window_that_one_model_has_no_loss_on_is_left_out_for_all_and_told() -> None:
    made = matrix(4, lambda cut, at: None if (cut, at) == (1, 2) else 1.0)
    walked = walk(NEVER, made)
    assert [each.loss for each in walked.steps] == [1.0, 1.0, None, 1.0]
    assert (walked.counted, walked.left_out, walked.loss, walked.mean_loss) == (3, 1, 3.0, 1.0)
    assert oracle(made, 1.0).losses == (1.0, 1.0, None, 1.0)


def test_a_part_of_a_walk_begins_with_the_champion_that_the_walk_had_by_then() -> None:
    assert champions(walk(NEVER, matrix(6, ageing)).within(2, 5)) == [0, 0, 0]
    fortnightly = walk(policy(rules=[{"rule": "calendar", "every": "14d"}]), matrix(6, ageing))
    assert champions(fortnightly.within(3, 6)) == [2, 4, 4]
    assert fortnightly.within(3, 6).loss == 2.0


def test_a_training_is_paid_for_in_the_part_of_the_first_window_it_could_answer() -> None:
    made = matrix(6, ageing, passes=lambda _old, new: new != 2)
    walked = walk(policy(rules=[{"rule": "calendar", "every": "14d"}]), made)
    assert [each.passed for each in walked.steps] == [None, None, False, True, None, True]
    parts = [walked.within(0, 2), walked.within(2, 6)]
    assert [(each.trainings, each.refusals) for each in parts] == [(0, 0), (3, 1)]
    assert sum(each.cost(0.5) for each in parts) == walked.cost(0.5)


@pytest.mark.parametrize(("first", "last"), [(-1, 3), (2, 2), (3, 2), (0, 5)])
def test_windows_that_are_not_there_are_refused(first: int, last: int) -> None:
    with pytest.raises(ReplayError, match=rf"no windows {first} to {last} .* the matrix has 4"):
        oracle(matrix(4, ageing), 1.0, first, last)


def test_the_oracle_trains_where_it_pays() -> None:
    found = oracle(matrix(6, ageing), price=2.0)
    assert (found.cuts, found.champions) == ((2, 4), (0, 0, 2, 2, 4, 4))
    assert found.cost(2.0) == 7.0
    assert oracle(matrix(6, ageing), price=4.0).cuts == (3,)
    assert oracle(matrix(6, ageing), price=100.0).cuts == ()
    assert oracle(matrix(3, ageing), price=0.0).cuts == (1, 2)


def test_the_oracle_of_equal_costs_is_the_one_with_fewer_trainings() -> None:
    assert oracle(matrix(5, lambda _cut, _at: 1.0), price=0.0).cuts == ()
    losses = {(0, 1): 5.0, (0, 2): -5.0, (0, 3): 5.0, (1, 2): 5.0, (1, 3): 5.0}
    # Trained at 1 and 2 it costs nothing either.
    assert oracle(matrix(4, lambda cut, at: losses.get((cut, at), 0.0)), price=0.0).cuts == (3,)


def test_the_oracle_of_a_part_begins_with_any_model_trained_by_then() -> None:
    def loss(cut: int, at: int) -> float:
        return 0.0 if cut == 1 else 1.0 + at - cut

    found = oracle(matrix(6, loss), 10.0, first=3)
    assert (found.champions, found.cuts, found.cost(10.0)) == ((1, 1, 1), (), 0.0)
    assert frontier(matrix(6, loss), 1, first=3) == (0.0, 0.0)


@pytest.mark.parametrize("price", [-0.1, float("nan"), float("inf")])
def test_a_training_that_costs_less_than_nothing_is_refused(price: float) -> None:
    with pytest.raises(ReplayError, match="Give a number of 0 or more"):
        oracle(matrix(4, ageing), price)


QUARTERS = st.integers(-8, 40).map(lambda each: each / 4)
"""Losses whose sums are exact, so that equal means equal."""


@st.composite
def matrices(draw: st.DrawFn, most: int = 8) -> Matrix:
    windows = draw(st.integers(1, most))
    losses = draw(st.lists(st.none() | QUARTERS, min_size=windows**2, max_size=windows**2))
    passing = draw(st.lists(st.booleans(), min_size=windows**2, max_size=windows**2))
    signals = draw(st.lists(measurements(), min_size=4, max_size=4))
    turn = draw(st.integers(1, 7))
    new_rows = draw(st.lists(st.none() | st.integers(0, 2000), min_size=windows, max_size=windows))
    return matrix(
        windows,
        lambda cut, at: losses[cut * windows + at],
        measured=lambda cut, at: {**signals[(turn * cut + at) % 4], "new_rows": new_rows[at]},
        passes=lambda old, new: passing[old * windows + new - 1],
    )


@st.composite
def measurements(draw: st.DrawFn) -> Mapping[str, Any]:
    score = st.builds(Score, st.none() | st.floats(0, 1), st.none() | st.floats(0, 0.1))
    missing = draw(st.sampled_from([(), (), (), (MissingChange("a", 0.0, 0.9),)]))
    share = draw(st.none() | st.sampled_from([0.0, 0.25, 0.5, 0.75]))
    drift = DriftSignal(1000, 4, ("a",), share, "few rows", missing, weighted=draw(score))
    value = st.none() | st.floats(0, 1)
    return {
        "rows": draw(st.sampled_from([0, 1000, 1000, 1000])),
        "drift": drift,
        "performance": PerformanceSignal("log_loss", False, 900, draw(value), 0.5, "few labels"),
        "prediction": draw(score),
        "regret": draw(st.none() | st.builds(RegretSignal, value, st.none() | st.floats(0, 0.1))),
    }


def schedules(windows: int) -> list[tuple[int, ...]]:
    return [cuts for size in range(windows) for cuts in combinations(range(1, windows), size)]


def loss_of(cuts: tuple[int, ...], made: Matrix) -> float:
    total = 0.0
    for at in range(len(made.windows)):
        champion = max((0, *(cut for cut in cuts if cut <= at)))
        if all(made.cells[cut, at].loss is not None for cut in range(at + 1)):
            total += made.cells[champion, at].loss or 0.0
    return total


@given(matrices(), QUARTERS.filter(lambda each: each >= 0))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_oracle_is_the_cheapest_of_all_schedules(made: Matrix, price: float) -> None:
    found = oracle(made, price)
    every = schedules(len(made.windows))
    assert found.cost(price) == min(loss_of(cuts, made) + price * len(cuts) for cuts in every)
    assert loss_of(found.cuts, made) == found.loss
    assert frontier(made, 3)[-1] == min(loss_of(cuts, made) for cuts in every if len(cuts) <= 3)


RULES = st.one_of(
    st.sampled_from(["7d", "14d", "28d"]).map(lambda each: {"rule": "calendar", "every": each}),
    st.sampled_from([0.25, 0.5]).map(lambda each: {"rule": "drift_share", "share": each}),
    st.just({"rule": "performance", "worse_by": 0.1}),
    st.just({"rule": "prediction_drift", "threshold": 0.4}),
    st.just({"rule": "weighted_drift", "threshold": 0.4}),
    st.floats(0.1, 2).map(lambda each: {"rule": "regret", "cost": each}),
    st.floats(0.1, 2).map(lambda each: {"rule": "upf", "cost": each, "horizon": 2}),
    st.just({"rule": "new_rows", "at_least": 1000}),
)
DEEP = st.one_of(
    RULES,
    RULES.map(lambda each: {"rule": "m_of_n", "m": 2, "n": 3, "of": each}),
    st.lists(RULES, min_size=2, max_size=2).map(lambda each: {"rule": "all", "of": each}),
    st.lists(RULES, min_size=2, max_size=2).map(lambda each: {"rule": "any", "of": each}),
)
POLICIES = st.builds(
    lambda rules, restraint: PolicySpec.model_validate({"rules": rules, "because": "replay"} | restraint),
    st.lists(DEEP, max_size=3),
    st.fixed_dictionaries(
        {
            "cooldown": st.sampled_from(["0d", "7d", "15d"]),
            "budget": st.none() | st.integers(1, 3),
            "max_refused": st.none() | st.integers(1, 2),
            "rest": st.sampled_from(["7d", "21d"]),
        }
    ),
)


@given(matrices(), POLICIES, st.booleans(), QUARTERS.filter(lambda each: each >= 0))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_walk_costs_less_than_the_oracle(
    made: Matrix, tried: PolicySpec, gate: bool, price: float
) -> None:
    walked = walk(tried, made, gate=gate)
    size = len(made.windows)
    assert walked.within(0, size) == walked
    for first in range(size):
        for last in range(first + 1, size + 1):
            part = walked.within(first, last)
            assert part.cost(price) >= oracle(made, price, first, last).cost(price)
            assert part.loss >= frontier(made, part.trainings, first, last)[-1]


@dataclass(frozen=True)
class Known(Measured):
    """What was measured, when it is already said in the policy's terms."""

    known: Signals | None = None

    def signals(self, model: str, window: Window) -> Signals:
        assert self.known is not None
        return replace(self.known, model=model, window_start=window.start, window_end=window.end)


MODEL = {
    "name": "hand_made",
    "entities": {"dataset": "rows"},
    "features": "rows",
    "label": {"column": "label", "delay": "7d"},
    "task": "classification",
    "train": {"holdout": "7d", "candidates": [{"trainer": "lightgbm"}]},
    "evaluate": {"objective": "log_loss"},
}


ALL_CAME = {"predictions": 900, "labelled": 900, "caught_up": 0}


def live(spec: ModelSpec, made: Matrix, walked: Walk, ledger: Ledger) -> list[tuple[str, str, str]]:
    """Decide about each window as the live loop does: from the ledger, and with its trainings recorded."""
    said: list[tuple[str, str, str]] = []
    under: list[Signals] = []
    for at, step in enumerate(walked.steps):
        window, signals = made.windows[at], made.cells[step.champion, at].signals
        # A fresh challenger is trained where the policy needs one.
        blind = replace(signals, regret=None)
        signals = signals if needs_challenger(blind, under, spec.policy) else blind
        under.append(signals)
        known = Known(ALL_CAME, {"signal": None}, {}, signals.champion, 1.0, known=signals)
        past = Memory(ledger.decisions(spec.name), ledger.trainings(spec.name))
        taken = ledger.decide(make_decision(spec, window, known, past, "run"))
        said.append((taken.verdict, taken.trigger, taken.reason))
        passed = walked.steps[at + 1].passed if at + 1 < len(walked.steps) else None
        under = [] if passed else under
        if passed is not None:
            ledger.record_training(
                Training(
                    run_id=taken.run_id or "",
                    model=spec.name,
                    decision_key=taken.key,
                    as_of=window.end,
                    version=None,
                    verdict="pass" if passed else "fail",
                    reasons=(),
                    metrics={},
                )
            )
    return said


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    url = f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db"
    migrate(url)
    return Ledger(url)


FRESH = count()


@given(matrices(7), POLICIES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_live_loop_takes_the_decisions_of_the_walk(
    ledger: Ledger, made: Matrix, tried: PolicySpec
) -> None:
    spec = ModelSpec.model_validate(MODEL | {"name": f"model_{next(FRESH)}", "policy": tried})
    walked = walk(tried, made)
    words = [(each.verdict.word, each.verdict.trigger, each.verdict.reason) for each in walked.steps]
    assert live(spec, made, walked, ledger) == words


def test_stricter_policies_of_a_signal_train_less_often() -> None:
    made = matrix(
        50,
        ageing,
        measured=lambda cut, at: {
            "regret": RegretSignal((at - cut) / 100, 0.01, 100),
            "prediction": Score((at - cut) / 50),
        },
    )
    rules = [{"rule": "regret", "cost": 0.1 * at} for at in range(1, 11)]
    rules += [{"rule": "prediction_drift", "threshold": 0.05 * at} for at in range(1, 11)]
    walked = [walk(policy(rules=[rule], cooldown="14d"), made) for rule in rules]
    trainings = [each.trainings for each in walked]
    for of_one in (trainings[:10], trainings[10:]):
        assert of_one == sorted(of_one, reverse=True)
        assert len(set(of_one)) > 3
    assert max(trainings) <= 25
