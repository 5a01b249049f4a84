"""The policy's verdicts and, above all, its reasons."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepfit.ledger import Decision
from keepfit.policy import (
    Champion,
    CommonCause,
    DriftSignal,
    FleetLimit,
    History,
    MissingChange,
    PerformanceSignal,
    RegretSignal,
    Signals,
    Verdict,
    decide,
    policy_version,
    refused_in_a_row,
)
from keepfit.spec.model import ModelSpec
from keepfit.spec.policy import PolicySpec
from keepfit.steps.decide import before

END = datetime(2013, 4, 15, tzinfo=UTC)
CHAMPION = Champion("3", END - timedelta(days=12))
GOOD = PerformanceSignal("log_loss", False, 6213, 0.4581, 0.4420)
BAD = PerformanceSignal("log_loss", False, 6213, 0.5120, 0.4420)
UNKNOWN = PerformanceSignal("log_loss", False, 40, None, 0.442, "40 labelled rows of 500")
CALM = DriftSignal(6500, 23, ("a", "b", "c", "d", "e"), 5 / 23)
DRIFTED = DriftSignal(6500, 4, ("a", "b", "c"), 0.75)
BOTH = ({"rule": "performance"}, {"rule": "drift_share"})
BLIND = DriftSignal(40, 0, (), None, "40 rows of 500")


def signals(**changes: Any) -> Signals:
    end = changes.get("window_end", END)
    base: dict[str, Any] = {
        "model": "churn",
        "window_start": end - timedelta(days=7),
        "window_end": END,
        "rows": 6500,
        "champion": CHAMPION,
        "performance": GOOD,
        "drift": CALM,
    }
    return Signals(**base | changes)


def policy(*rules: dict[str, Any], **fields: Any) -> PolicySpec:
    return PolicySpec.model_validate({"rules": rules or BOTH, **fields})


def verdict(spec: PolicySpec | None = None, history: History | None = None, **changes: Any) -> Any:
    return decide(signals(**changes), (), spec or policy(), history or History())


def model(**fields: Any) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": "churn",
            "task": "classification",
            "entities": {"dataset": "customers"},
            "features": "churn",
            "label": {"column": "left", "delay": "2d"},
            "train": {"holdout": "14d", "candidates": [{"trainer": "lightgbm"}]},
            "evaluate": {"objective": "log_loss"},
            **fields,
        }
    )


def test_a_calm_window_is_kept_with_every_number() -> None:
    result = verdict()
    assert (result.word, result.trigger) == ("keep", "none")
    assert result.reason == (
        "log_loss 0.4581 on 6,213 labelled rows is within 10 % of the holdout's 0.4420; "
        "5 of 23 columns drifted (share 0.22 < 0.50)"
    )


def test_decay_on_labels_asks_for_a_training_before_drift_does() -> None:
    result = verdict(performance=BAD, drift=DRIFTED)
    assert (result.word, result.trigger) == ("retrain", "performance")
    assert result.reason.startswith(
        "log_loss 0.5120 on 6,213 labelled rows is 15.8 % worse than the holdout's 0.4420 "
        "(limit 10 %); 3 of 4 columns drifted (share 0.75 >= 0.50)"
    )


def test_drift_asks_for_a_training_when_labels_are_still_out() -> None:
    result = verdict(performance=UNKNOWN, drift=DRIFTED)
    assert (result.word, result.trigger) == ("retrain", "drift_share")
    assert "log_loss not judged: 40 labelled rows of 500" in result.reason


def test_nothing_measured_is_insufficient_and_not_calm() -> None:
    result = verdict(performance=UNKNOWN, drift=BLIND)
    assert (result.word, result.trigger) == ("insufficient", "none")
    assert result.reason.startswith(
        "log_loss not judged: 40 labelled rows of 500; drift not judged: 40 rows of 500"
    )


def test_one_measured_signal_is_enough_to_keep() -> None:
    assert verdict(performance=UNKNOWN).word == "keep"
    assert verdict(drift=BLIND).word == "keep"


@pytest.mark.parametrize(
    ("drift", "words"),
    [
        (
            DriftSignal(6500, 3, ("a",), 0.9, broken=("x is not among the predictions",)),
            "x is not among the predictions",
        ),
        (
            DriftSignal(6500, 4, (), 0.9, missing=(MissingChange("x", 0.02, 0.97),)),
            "x is missing in 97% of the rows (2% in training)",
        ),
    ],
)
def test_broken_data_blocks_even_when_everything_calls_for_a_training(drift: DriftSignal, words: str) -> None:
    result = verdict(drift=drift, performance=BAD)
    assert (result.word, result.trigger) == ("blocked", "none")
    assert result.reason == f"broken data is never trained on: {words}"


def test_a_column_missing_more_often_is_no_fault_by_itself() -> None:
    some = DriftSignal(6500, 4, (), 0.0, missing=(MissingChange("x", 0.02, 0.30),))
    assert verdict(drift=some).word == "keep"


def test_no_champion_and_no_predictions_say_what_to_do() -> None:
    assert verdict(champion=None).reason == "no champion yet: run churn__train"
    assert verdict(champion=None).word == "insufficient"
    assert verdict(rows=0, performance=BAD).reason == "the window holds no predictions"


def test_cool_down_turns_a_training_into_a_no_with_its_reason() -> None:
    history = History(retrained=(END - timedelta(days=60), END - timedelta(days=5)))
    result = verdict(history=history, drift=DRIFTED)
    assert (result.word, result.trigger) == ("keep", "drift_share")
    assert result.reason.startswith(
        "cool-down of 7 d: the window ending 2013-04-10 asked for a training, 5 d away; "
        "though 3 of 4 columns drifted (share 0.75 >= 0.50)"
    )


def test_one_window_starts_one_training_also_without_a_cool_down() -> None:
    result = verdict(policy(cooldown="0d"), History((END,)), drift=DRIFTED)
    assert (result.word, result.trigger) == ("keep", "drift_share")
    assert result.reason.startswith(
        "another policy asked for a training after the window ending 2013-04-15 00:00 already"
    )


def test_cool_down_is_over_when_it_is_over() -> None:
    assert verdict(history=History((END - timedelta(days=7),)), drift=DRIFTED).word == "retrain"


def test_a_late_window_does_not_slip_in_before_a_later_training() -> None:
    later = History(retrained=(END + timedelta(days=3),))
    assert "cool-down" in verdict(history=later, drift=DRIFTED).reason


def test_a_champion_that_knows_the_window_is_not_trained_again_for_it() -> None:
    result = verdict(champion=Champion("4", END), drift=DRIFTED)
    assert result.word == "keep"
    assert "trained as of 2013-04-15 00:00, not before this window's end" in result.reason


def test_a_spent_budget_turns_a_training_into_a_no() -> None:
    spec = policy(budget=2)
    history = History(tuple(END - timedelta(days=days) for days in (120, 60, 20)))
    result = verdict(spec, history, drift=DRIFTED)
    assert result.word == "keep"
    assert result.reason.startswith("budget: 2 of 2 trainings in 90 d are spent; though")
    assert verdict(policy(budget=3), history, drift=DRIFTED).word == "retrain"


def test_what_the_policy_leaves_out_is_not_judged() -> None:
    result = verdict(policy({"rule": "calendar", "every": "91d"}), performance=BAD, drift=DRIFTED)
    assert (result.word, result.reason) == ("keep", "the champion's data is 12 d old (limit 91 d)")


def test_a_policy_without_rules_keeps_and_says_so() -> None:
    result = decide(signals(performance=BAD), (), PolicySpec(rules=()), History())
    assert (result.word, result.reason) == ("keep", "the policy has no rules")


def test_another_policy_has_another_version_and_the_same_has_the_same() -> None:
    assert policy_version(model()) == policy_version(model(train=model().train.model_dump()))
    assert policy_version(model()) != policy_version(model(policy={"budget": 1}))
    assert policy_version(model()) != policy_version(model(monitor={"drift": None}))
    assert len(policy_version(model())) == 12
    said, asked = model(policy={"because": "replay"}), model(monitor={"schedule": "@daily"})
    assert policy_version(model()) == policy_version(said) == policy_version(asked)


@given(
    windows=st.lists(st.integers(0, 200), min_size=1, max_size=40, unique=True),
    cooldown=st.integers(0, 30),
    budget=st.integers(1, 5),
)
def test_a_storm_of_alarms_in_any_order_stays_within_cool_down_and_budget(
    windows: list[int], cooldown: int, budget: int
) -> None:
    spec = policy(cooldown=f"{cooldown}d", budget=budget, budget_period="60d")
    retrained: list[datetime] = []
    for day in windows:
        end = END + timedelta(days=day)
        result = verdict(spec, History(tuple(retrained)), window_end=end, drift=DRIFTED)
        if result.word == "retrain":
            retrained.append(end)
    for end in retrained:
        near = [abs(end - other) for other in retrained if other != end]
        assert all(each >= timedelta(days=cooldown) for each in near)
        assert sum(timedelta(0) <= end - other < timedelta(days=60) for other in retrained) <= budget


HARMLESS = RegretSignal(0.002, 0.004, 6213)
HARMFUL = RegretSignal(0.02, 0.004, 6213)
CAUSE = CommonCause("weather", ("wind", "rain"), ("arrivals", "churn"), "weather__20130415")


def test_a_shift_that_a_fresh_challenger_cannot_use_is_harmless_and_kept() -> None:
    result = verdict(drift=DRIFTED, regret=HARMLESS)
    assert (result.word, result.trigger) == ("keep", "drift_share")
    assert result.reason.startswith(
        "harmless shift: a fresh challenger is better by 0.002 on 6,213 labelled rows, chance alone 0.004; "
        "log_loss 0.4581 on 6,213"
    )
    assert verdict(drift=DRIFTED, regret=HARMFUL).word == "retrain"
    assert verdict(drift=DRIFTED, regret=RegretSignal(None, reason="no labels yet")).word == "retrain"
    assert verdict(drift=DRIFTED, regret=RegretSignal(float("nan"))).word == "retrain"


def test_what_costs_is_not_waved_through_as_a_harmless_shift() -> None:
    spec = policy({"rule": "drift_share"}, {"rule": "performance"})
    result = verdict(spec, drift=DRIFTED, performance=BAD, regret=HARMLESS)
    assert (result.word, result.trigger) == ("retrain", "performance")
    both = policy({"rule": "all", "of": [{"rule": "drift_share"}, {"rule": "performance"}]})
    assert verdict(both, drift=DRIFTED, performance=BAD, regret=HARMLESS).word == "retrain"
    old = policy({"rule": "calendar", "every": "10d"})
    assert verdict(old, drift=DRIFTED, regret=HARMLESS).trigger == "calendar"


def test_a_cause_common_to_several_models_holds_the_training_and_asks_a_person() -> None:
    result = verdict(history=History(common=CAUSE), drift=DRIFTED)
    assert (result.word, result.trigger) == ("held", "drift_share")
    assert result.reason.startswith(
        "wind, rain of weather moved at once for 2 models: incident weather__20130415 asks whether that is a "
        "fault; 3 of 4 columns drifted"
    )
    assert verdict(history=History(common=CAUSE)).word == "keep"
    assert verdict(history=History(common=CAUSE), drift=DRIFTED, regret=HARMLESS).word == "keep"
    broken = DriftSignal(6500, 3, ("a",), 0.9, broken=("x is text now",))
    assert verdict(history=History(common=CAUSE), drift=broken).word == "blocked"


def test_a_reason_begins_with_the_rule_that_called_and_keeps_the_others_in_order() -> None:
    spec = policy({"rule": "new_rows", "at_least": 9}, {"rule": "drift_share"}, {"rule": "performance"})
    told = verdict(spec, drift=DRIFTED, new_rows=4).reason.split("; ")
    assert [each.split()[0] for each in told] == ["3", "4", "log_loss"]
    quiet = verdict(spec, new_rows=4).reason.split("; ")
    assert [each.split()[0] for each in quiet] == ["4", "5", "log_loss"]


def test_each_decision_says_why_the_policy_was_chosen() -> None:
    spec = policy(because="chosen by replay of January to March")
    for changes in ({}, {"drift": DRIFTED}, {"drift": BLIND, "performance": UNKNOWN}):
        assert verdict(spec, **changes).reason.endswith("; chosen by replay of January to March")


def test_time_and_rows_that_pass_are_no_look_at_the_model() -> None:
    clock = ({"rule": "calendar", "every": "91d"}, {"rule": "new_rows", "at_least": 9})
    assert (
        verdict(policy({"rule": "performance"}, *clock), performance=UNKNOWN, new_rows=3).word
        == "insufficient"
    )
    assert verdict(policy(*clock), new_rows=3).word == "keep"
    assert verdict(policy(*clock), new_rows=None).word == "keep"
    unrecorded = verdict(policy(*clock), champion=Champion("1", None))
    assert (unrecorded.word, unrecorded.reason) == (
        "insufficient",
        "the champion's training time is not recorded; new labelled rows were not counted",
    )


@pytest.mark.parametrize("parts", [["performance", "calendar"], ["calendar", "performance"]])
def test_a_combination_with_an_open_part_is_insufficient(parts: list[str]) -> None:
    rules: dict[str, dict[str, Any]] = {
        "performance": {"rule": "performance"},
        "calendar": {"rule": "calendar", "every": "10d"},
    }
    spec = policy({"rule": "all", "of": [rules[each] for each in parts]})
    assert verdict(spec, performance=UNKNOWN).word == "insufficient"
    assert verdict(spec, performance=BAD).word == "retrain"
    young = policy({"rule": "all", "of": [{"rule": "performance"}, {"rule": "calendar", "every": "91d"}]})
    assert verdict(young, performance=UNKNOWN).word == "keep"


def refusals(*ago: int, by: str = "performance") -> tuple[tuple[datetime, str], ...]:
    return tuple((END - timedelta(days=days), by) for days in ago)


def test_refused_challengers_in_a_row_break_the_circuit_until_it_has_rested() -> None:
    refused = refusals(60, 40, 20)
    result = verdict(history=History(refused=refused), drift=DRIFTED)
    assert (result.word, result.trigger) == ("keep", "drift_share")
    assert result.reason.startswith(
        "the last 3 challengers that a signal asked for were refused, so none is started for 90 d (20 d have "
        "passed). Look at why, and train by hand; though 3 of 4 columns drifted"
    )
    assert verdict(history=History(refused=refused[1:]), drift=DRIFTED).word == "retrain"
    assert verdict(policy(max_refused=4), History(refused=refused), drift=DRIFTED).word == "retrain"
    assert verdict(policy(max_refused=None), History(refused=refused), drift=DRIFTED).word == "retrain"
    assert verdict(policy(rest="20d"), History(refused=refused), drift=DRIFTED).word == "retrain"
    assert "circuit" not in verdict(history=History(refused=refused)).reason


@pytest.mark.parametrize("by", ["calendar", "new_rows", "feature_change", ""])
def test_a_signal_is_heard_though_challengers_that_none_asked_for_were_refused(by: str) -> None:
    refused = refusals(60, 40, 20, by=by)
    assert verdict(history=History(refused=refused), drift=DRIFTED).word == "retrain"
    assert verdict(history=History(refused=(*refused, *refusals(10, 9))), drift=DRIFTED).word == "retrain"
    assert verdict(history=History(refused=(*refused, *refusals(10, 9, 8))), drift=DRIFTED).word == "keep"
    due = verdict(policy({"rule": "calendar", "every": "1d"}), History(refused=(*refused[1:], *refusals(10))))
    assert (due.word, due.trigger) == ("keep", "calendar")
    assert due.reason.startswith("the last 3 challengers were refused, so none is started for 90 d (10 d")


def test_refused_challengers_far_apart_begin_no_rest_but_one_right_after_a_rest_does() -> None:
    assert verdict(history=History(refused=refusals(131, 90, 40)), drift=DRIFTED).word == "retrain"
    assert verdict(history=History(refused=refusals(129, 90, 40)), drift=DRIFTED).word == "keep"
    assert verdict(history=History(refused=refusals(210, 205, 200, 40)), drift=DRIFTED).word == "keep"
    assert verdict(history=History(refused=refusals(240, 235, 230, 40)), drift=DRIFTED).word == "retrain"
    # A long cool-down keeps them apart by itself.
    slow = policy(cooldown="30d", rest="35d")
    assert verdict(slow, History(refused=refusals(92, 62, 31)), drift=DRIFTED).word == "keep"


def test_a_window_worked_off_late_is_shown_none_of_those_after_it() -> None:
    seen = [signals(window_end=END + timedelta(days=7 * number)) for number in range(3)]
    decisions = [
        Decision(
            key=f"k{number}",
            model="churn",
            policy_version="p",
            window_start=each.window_start,
            window_end=each.window_end,
            verdict="keep",
            trigger="none",
            reason="",
            evidence={"signals": each.to_json()},
            run_id=None,
            decided_by="run",
        )
        for number, each in enumerate(seen)
    ]
    assert before(seen[1], decisions) == [seen[0]]


@pytest.mark.parametrize(("away", "word"), [(89, "keep"), (90, "retrain")])
def test_a_training_at_the_far_end_of_a_budgets_period_counts_no_more(away: int, word: str) -> None:
    spent = History(retrained=(END - timedelta(days=away),))
    assert verdict(policy(budget=1), spent, drift=DRIFTED).word == word
    shared = History(fleet=(END - timedelta(days=away),))
    limit = FleetLimit(budget=1, period_days=90)
    assert decide(signals(drift=DRIFTED), (), policy(), shared, limit).word == word


def test_the_fleet_has_a_budget_of_its_own() -> None:
    def asked(*days: int, fleet: FleetLimit) -> Verdict:
        history = History(fleet=tuple(END - timedelta(days=each) for each in days))
        return decide(signals(drift=DRIFTED), (), policy(), history, fleet)

    held = asked(1, 2, 20, fleet=FleetLimit(2))
    assert held.word == "keep"
    assert held.reason.startswith("the fleet's budget: 2 of 2 trainings in 7 d are spent; though 3 of 4")
    assert asked(1, 2, 20, fleet=FleetLimit(3)).word == "retrain"
    assert asked(1, 2, 20, fleet=FleetLimit(3, 30)).word == "keep"
    assert asked(1, 2, 20, fleet=FleetLimit()).word == "retrain"


def test_what_was_asked_before_counts_the_same_however_it_is_listed() -> None:
    near = (END - timedelta(days=3), END + timedelta(days=3), END - timedelta(days=30))
    refused = refusals(60, 40, 20)
    cooling = [verdict(history=History(listed), drift=DRIFTED) for listed in permutations(near)]
    assert len(set(cooling)) == 1
    assert cooling[0].reason.startswith("cool-down of 7 d: the window ending 2013-04-12")
    resting = [
        verdict(policy(rest="50d"), History(refused=listed), drift=DRIFTED)
        for listed in permutations(refused)
    ]
    assert len(set(resting)) == 1
    assert resting[0].reason.startswith("the last 3 challengers that a signal asked for were refused")


def test_of_two_trainings_that_knew_the_same_the_one_that_passed_ends_the_row() -> None:
    later = END + timedelta(days=1)
    ended = [(END - timedelta(days=9), False), (END, True), (END, False), (later, False)]
    judged = [(as_of, passed, "performance") for as_of, passed in ended]
    for listed in permutations(judged):
        assert refused_in_a_row(listed, END) == ()
        assert refused_in_a_row(listed, later) == ((later, "performance"),)
