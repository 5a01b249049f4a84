"""Choosing a policy on one part of a history and reporting it on the other."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from math import isnan
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keepfit.errors import ReplayError
from keepfit.policy.candidates import Candidate, candidates
from keepfit.policy.certainty import difference
from keepfit.policy.signals import DriftSignal, MissingChange, PerformanceSignal, RegretSignal, Score
from keepfit.spec.model import ModelSpec
from keepfit.spec.policy import PolicySpec
from keepfit.spec.yaml_file import read_yaml
from keepfit.steps.choose_policy import Choice, choose_policy, to_price
from keepfit.testing import matrix

SPEC = ModelSpec.model_validate(
    {
        "name": "hand_made",
        "entities": {"dataset": "rows"},
        "features": "rows",
        "label": {"column": "label", "delay": "14d"},
        "task": "classification",
        "train": {"holdout": "7d", "candidates": [{"trainer": "lightgbm"}]},
        "evaluate": {"objective": "log_loss"},
        "policy": {"rules": [{"rule": "drift_share"}], "cooldown": "7d", "max_refused": 2, "rest": "28d"},
    }
)
BREAKS = (5, 6, 16, 26, 30, 36)
"""Windows at whose start the world changes for good."""


def broken(cut: int, at: int) -> float:
    """What a model loses: much for each change since it was trained."""
    return float(sum(cut < each <= at for each in BREAKS))


def told(loss: Callable[[int, int], float]) -> Callable[[int, int], Mapping[str, Any]]:
    """Measure what is lost without noise, and a drift that has nothing to do with it."""

    def measured(cut: int, at: int) -> Mapping[str, Any]:
        lost = loss(cut, at)
        return {
            "regret": RegretSignal(lost, 0.0, 900),
            "performance": PerformanceSignal("log_loss", False, 900, 0.5 + lost / 100, 0.5),
            "drift": DriftSignal(900, 4, (), (at % 4) / 4, weighted=Score((at % 5) / 10, 0.1)),
            "prediction": Score((at % 7) / 10, 0.1),
        }

    return measured


def choose(loss: Callable[[int, int], float], cost: float, windows: int = 40, **more: Any) -> Choice:
    return choose_policy(SPEC, [matrix(windows, loss, measured=told(loss))], cost, **more)


def name(choice: Choice) -> str:
    return choice.ranking.winner.candidate.name


def test_a_model_that_ages_fast_is_trained_by_the_calendar_when_training_is_cheap() -> None:
    assert name(choose(lambda cut, at: float(at - cut), cost=0.5)) == "every 7 d"


def test_a_model_that_does_not_age_is_never_trained() -> None:
    choice = choose(lambda _cut, _at: 1.0, cost=0.5)
    assert (name(choice), choice.policy.rules) == ("never", ())
    assert yaml.safe_load(choice.suggestion)["policy"]["rules"] == []


def test_a_training_that_costs_more_than_all_there_is_to_lose_is_never_asked_for() -> None:
    assert name(choose(broken, cost=1000.0)) == "never"


def test_where_the_world_breaks_a_signal_is_better_than_any_calendar() -> None:
    choice = choose(broken, cost=1.5)
    assert name(choice).startswith("2 % worse") or "regret" in name(choice)
    for other in choice.ranking.fixed:
        assert choice.ranking.winner.chosen_on.cost(1.5) < other.chosen_on.cost(1.5)


def test_what_costs_nearly_the_same_is_decided_for_the_simpler_policy() -> None:
    def loss(cut: int, at: int) -> float:
        """What a signal finds at once is worth a twentieth of a training more than never."""
        return 1.05 / 9 if cut <= 10 <= at < 20 else 0.0

    assert name(choose(loss, cost=1.0)) == "never"
    assert name(choose(lambda cut, at: 2 * loss(cut, at), cost=1.0)) != "never"


def test_a_calendar_is_simpler_than_a_signal_that_asks_at_the_same_times() -> None:
    def loss(cut: int, at: int) -> float:
        return 5.0 if at - cut >= 4 else 0.0

    def measured(cut: int, at: int) -> Mapping[str, Any]:
        return {"drift": DriftSignal(900, 4, (), 1.0 if at - cut >= 3 else 0.0)}

    choice = choose_policy(SPEC, [matrix(40, loss, measured=measured)], 0.5)
    costs = {each.candidate.title: each.chosen_on.cost(0.5) for each in choice.ranking.tried}
    assert costs["every 28 d"] == costs["drift share 0.5"] == min(costs.values())
    assert name(choice) == "every 28 d"


def test_the_choice_knows_nothing_of_the_part_it_is_reported_on() -> None:
    def other(cut: int, at: int) -> float:
        return broken(cut, at) if at < 20 else 7.0 * (at - cut)

    def louder(cut: int, at: int) -> Mapping[str, Any]:
        scores = {"prediction": Score(9.0 + at), "drift": DriftSignal(900, 4, (), 1.0, weighted=Score(9.0))}
        return {**told(other)(cut, at), **(scores if at >= 20 else {})}

    one = choose(broken, cost=1.5).ranking
    two = choose_policy(SPEC, [matrix(40, other, measured=louder)], 1.5).ranking
    assert one.winner.candidate == two.winner.candidate
    assert one.winner.chosen_on == two.winner.chosen_on
    assert one.winner.reported_on != two.winner.reported_on
    thresholds = [
        {each.candidate.name for each in found.tried if "%" in each.candidate.name} for found in (one, two)
    ]
    assert thresholds[0] == thresholds[1] != set()


def test_each_policy_enters_the_second_part_with_the_champion_it_has() -> None:
    found = choose(lambda cut, at: float(at - cut), cost=0.5).ranking
    never, weekly = found.fixed[:2]
    assert never.reported_on.steps[0].champion == 0
    assert never.reported_on.loss == sum(range(20, 40))
    assert (weekly.reported_on.steps[0].champion, weekly.reported_on.trainings) == (20, 20)
    assert weekly.chosen_on.trainings == 19


def test_no_policy_costs_less_than_the_oracle_on_either_part() -> None:
    found = choose(broken, cost=0.7).ranking
    for tried in found.tried:
        assert found.choosing.regret(tried.chosen_on, 0.7) >= -1e-9
        assert found.reporting.regret(tried.reported_on, 0.7) >= -1e-9


def test_a_refused_calendar_that_nothing_holds_back_waits_for_its_next_day() -> None:
    made = matrix(40, lambda _cut, _at: 1.0, measured=told(broken), passes=lambda _old, _new: False)
    (monthly,) = (
        each for each in choose_policy(SPEC, [made], 1.0).ranking.fixed if each.candidate.name == "every 28 d"
    )
    assert [step.window for walked in monthly.walks for step in walked.steps if step.trained] == [
        *range(4, 40, 4)
    ]


def test_each_policy_is_tried_with_and_without_what_the_model_holds_back_with() -> None:
    made = matrix(20, broken, measured=told(broken))
    tried = {each.title: each.policy for each in candidates(SPEC.policy, made, 1.0, range(10))}
    held, free = tried["every 14 d"], tried["every 14 d, not held back"]
    assert (held.max_refused, held.cooldown.days) == (2, 7)
    assert (free.max_refused, free.cooldown.days, free.budget) == (None, 14, None)
    assert tried["2 % worse, not held back"].cooldown.days == 0
    assert tried["drift share 0.5"] == SPEC.policy


def test_a_present_policy_is_tried_once_and_first() -> None:
    made = matrix(20, broken, measured=told(broken))
    other = PolicySpec.model_validate({"rules": [{"rule": "new_rows", "at_least": 5}], "because": "of old"})
    assert candidates(other, made, 1.0, range(10))[0] == Candidate("the present policy", other)
    weekly = PolicySpec.model_validate({"rules": [{"rule": "calendar", "every": "7d"}], "because": "of old"})
    first, *rest = candidates(weekly, made, 1.0, range(10))
    assert first == Candidate("every 7 d", weekly)
    assert "every 7 d" not in {each.title for each in rest}


def test_a_policy_that_replay_has_chosen_before_is_chosen_again_with_the_same_reason() -> None:
    once = choose(broken, cost=1.5)
    again = choose_policy(
        SPEC.model_copy(update={"policy": once.policy}), [matrix(40, broken, measured=told(broken))], 1.5
    )
    assert again.policy == once.policy
    assert f"* {once.ranking.winner.candidate.title} (as now)" in "\n".join(again.lines())


def test_a_calendar_that_won_is_not_held_against_itself() -> None:
    choice = choose(lambda cut, at: float(at - cut), cost=0.5)
    assert (name(choice), "every 7 d" in choice.policy.because) == ("every 7 d", False)
    assert "never and" in choice.policy.because


ROUND = [0.0, 5e-324, 1e-6, 0.001, 0.07, 0.29, 0.57, 0.58, 1.0, 4.35, float("inf"), float("nan")]
"""Some of them are not what a division by a round number says."""


@given(st.lists(st.none() | st.floats(0, 5) | st.sampled_from(ROUND), min_size=20, max_size=20))
def test_a_threshold_calls_in_no_more_of_the_quiet_windows_than_its_name_says(
    scores: list[float | None],
) -> None:
    fault = (MissingChange("a", 0.0, 0.9),)

    def measured(_cut: int, at: int) -> Mapping[str, Any]:
        missing = fault if at % 4 == 3 else ()
        return {"prediction": Score(scores[at]), "drift": DriftSignal(900, 4, (), 0.0, "", missing)}

    made = matrix(20, broken, measured=measured)
    quiet = [each for at, each in enumerate(scores) if at % 4 != 3 and each is not None and not isnan(each)]
    for each in candidates(SPEC.policy, made, 1.0, range(20)):
        if match := re.search(r"prediction drift (\S+) \((\d+) % false alarms\)", each.name):
            above = sum(score >= float(match[1]) for score in quiet)
            assert above <= len(quiet) * int(match[2]) / 100


def test_the_table_names_what_the_figures_rest_on_and_the_usual_policies() -> None:
    lines = choose(broken, cost=1.5).lines()
    assert lines[0] == (
        "hand_made: chosen on 2024-01-01 to 2024-05-20 (20 windows, left), "
        "reported on 2024-05-20 to 2024-10-07 (20 windows, right)"
    )
    assert "a training costs 1.5 of log_loss summed over windows; labels come after 14d" in lines[1]
    assert "it enters the part reported on with the model its own decisions left it" in lines[2]
    shown = [line.removeprefix("* ").split("  ")[0] for line in lines]
    for usual in (
        "never",
        "every 7 d",
        "every 28 d",
        "drift share 0.5 (as now)",
        "oracle (knows the future)",
    ):
        assert any(each.startswith(usual) for each in shown), usual
    assert sum(line.startswith("* ") for line in lines) == 1


@pytest.mark.parametrize(
    ("value", "price", "text"),
    [
        (1049.43721, 0.05, "1,049.4372"),
        (0.5, 20.0, "0.5"),
        (123456.7, 5000.0, "123,457"),
        (1.0, 1e-9, "1.000000000"),
    ],
)
def test_figures_are_as_fine_as_the_price_of_a_training_asks(value: float, price: float, text: str) -> None:
    assert to_price(value, price) == text


def test_few_windows_are_called_little_evidence_and_many_are_not() -> None:
    few = "\n".join(choose(broken, cost=1.5, windows=20).lines())
    assert "Little evidence: 10 windows." in few
    assert "Little evidence" not in "\n".join(choose(broken, cost=1.5).lines())


def test_a_calendar_that_is_no_dearer_for_sure_is_told_with_its_block(tmp_path: Path) -> None:
    def unrest(cut: int, at: int) -> float:
        changes = (5, 6, 16, *range(22, 40, 2))
        return float(sum(cut < each <= at for each in changes))

    choice = choose(unrest, cost=0.5)
    assert name(choice) == "2 % worse"
    (line,) = (line for line in choice.lines() if line.startswith("A calendar is simpler"))
    words, block = line.split(" To take it: ")
    assert words == "A calendar is simpler, and as far as this tells no dearer: every 14 d."
    path = tmp_path / "model.yaml"
    path.write_text(block, encoding="utf-8")
    kept = {"cooldown": "7d", "max_refused": 2, "rest": "28d"}
    wanted = PolicySpec.model_validate({"rules": [{"rule": "calendar", "every": "14d"}], **kept})
    assert PolicySpec.model_validate(read_yaml(path, "model.yaml").content["policy"]) == wanted
    plain = choose(lambda cut, at: float(at - cut), cost=0.1)
    assert name(plain).startswith("every ")
    assert "A calendar is simpler" not in "\n".join(plain.lines())


def test_windows_without_a_loss_are_told() -> None:
    made = matrix(20, lambda cut, at: None if at == 3 else broken(cut, at), measured=told(broken))
    choice = choose_policy(SPEC, [made], 1.5)
    assert "1 of the 10 windows to choose on have no loss, and count for no policy." in choice.lines()
    assert choice.ranking.choosing.counted == 9


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(1e-4, 1e4), st.sampled_from([broken, lambda cut, at: float(at - cut)]), st.data())
def test_each_policy_that_could_win_loads_back_from_the_block_it_is_suggested_in(
    tmp_path_factory: pytest.TempPathFactory,
    cost: float,
    loss: Callable[[int, int], float],
    data: st.DataObject,
) -> None:
    choice = choose(loss, cost, windows=20)
    winner = data.draw(st.sampled_from(choice.ranking.tried))
    choice = replace(choice, ranking=replace(choice.ranking, winner=winner))
    path: Path = tmp_path_factory.mktemp("suggested") / "model.yaml"
    path.write_text(choice.suggestion, encoding="utf-8")
    read = read_yaml(path, "model.yaml")
    assert not read.problems
    assert PolicySpec.model_validate(read.content["policy"]) == choice.policy
    assert choice.policy.rules == winner.candidate.policy.rules
    assert choice.policy.because.startswith("replay of 2024-01-01 to 2024-03-11: cost ")
    assert json.loads(json.dumps(choice.to_json()))["chosen"]["name"] == winner.candidate.title


def test_another_kind_of_training_rows_is_suggested_where_it_won() -> None:
    plain = matrix(20, lambda _cut, _at: 1.0)
    better = matrix(20, lambda _cut, _at: 0.5, kind="trailing:91d")
    choice = choose_policy(SPEC, [better, plain], 1.5)
    assert yaml.safe_load(choice.suggestion)["train"] == {"length": "91d"}
    assert "* never [trailing:91d]" in "\n".join(choice.lines())
    short = SPEC.model_copy(update={"train": SPEC.train.model_copy(update={"length": timedelta(days=91)})})
    assert "train" not in yaml.safe_load(choose_policy(short, [plain, better], 1.5).suggestion)
    alone = choose_policy(short, [plain], 1.5)
    assert yaml.safe_load(alone.suggestion)["train"] == {"length": None}


def test_of_kinds_that_cost_nearly_the_same_the_present_one_stays() -> None:
    plain = matrix(20, lambda _cut, _at: 1.0)
    hardly_better = matrix(20, lambda _cut, _at: 0.999, kind="trailing:91d")
    assert choose_policy(SPEC, [hardly_better, plain], 1.5).ranking.winner.kind == "expanding"


def test_kinds_are_summed_over_the_windows_that_both_have_a_loss_on() -> None:
    whole = matrix(20, lambda _cut, _at: 1.0)
    holed = matrix(20, lambda _cut, at: None if at == 2 else 1.0, kind="trailing:91d")
    found = choose_policy(SPEC, [whole, holed], 1.5).ranking
    assert {each.chosen_on.counted for each in found.tried} == {9}


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan"), float("inf")])
def test_a_training_that_costs_nothing_is_refused(cost: float) -> None:
    with pytest.raises(ReplayError, match=r"the cost of a training is .* Give a number greater than 0"):
        choose(broken, cost)


@pytest.mark.parametrize("split", [0.0, 1.0, -0.5, float("nan")])
def test_a_split_that_leaves_a_part_empty_is_refused(split: float) -> None:
    with pytest.raises(ReplayError, match=r"Give a share between 0 and 1, such as 0\.5"):
        choose(broken, 1.0, split=split)


@pytest.mark.parametrize(
    ("windows", "split", "part"), [(20, 0.1, "choose"), (20, 0.9, "report"), (7, 0.5, "report")]
)
def test_too_short_a_part_is_refused(windows: int, split: float, part: str) -> None:
    with pytest.raises(ReplayError, match=rf"windows to {part} on have a loss, and 4 are needed"):
        choose(broken, 1.0, windows=windows, split=split)


def test_no_matrix_or_two_of_different_windows_are_refused() -> None:
    with pytest.raises(ReplayError, match="There is no matrix"):
        choose_policy(SPEC, [], 1.0)
    kinds = [matrix(20, broken), matrix(21, broken, kind="trailing:91d")]
    with pytest.raises(ReplayError, match="'trailing:91d' has other windows"):
        choose_policy(SPEC, kinds, 1.0)


def test_a_signal_that_was_zero_in_all_quiet_windows_is_given_the_least_threshold() -> None:
    made = matrix(8, lambda _cut, _at: 1.0, measured=lambda _cut, _at: {"prediction": Score(0.0, 0.0, "")})
    tried = {each.name for each in candidates(PolicySpec(), made, 0.1, range(4))}
    assert "prediction drift 1e-06 (5 % false alarms)" in tried


def test_a_constant_difference_is_certain_and_windows_without_cost_are_left_out() -> None:
    found = difference([1.0, 2.0, None, 4.0], [1.5, 2.5, 3.0, 4.5])
    assert (found.value, found.low, found.high, found.windows, found.told) == (-1.5, -1.5, -1.5, 3, "less")
    assert difference([None], [1.0]).told == "unsure"
    assert difference([2.0, 2.0], [1.0, 1.0]).told == "more"


def test_windows_that_go_together_make_an_interval_wider() -> None:
    runs, turns = ([(-1.0) ** (at // length) for at in range(64)] for length in (8, 1))
    wide, narrow = (difference(each, [0.0] * 64) for each in (runs, turns))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert wide.told == narrow.told == "unsure"


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=40))
@settings(max_examples=15, deadline=None)
def test_an_interval_is_the_same_every_time_and_in_order(costs: list[float]) -> None:
    found = difference(costs, [0.0] * len(costs))
    assert found == difference(costs, [0.0] * len(costs))
    assert found.low <= found.high
    assert min(costs) * len(costs) - 1e-9 <= found.low
    assert found.high <= max(costs) * len(costs) + 1e-9
