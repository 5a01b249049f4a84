"""Policies of one's own: found, asked, held to the contract, and named where they fail."""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keepfit.cli.references import plugin_problems
from keepfit.errors import PolicyError, UnknownPluginError
from keepfit.plugins import use_plugins
from keepfit.policy import (
    Finding,
    History,
    Policy,
    RegretSignal,
    Score,
    decide,
    needs_challenger,
    own_policy,
    walk,
)
from keepfit.policy.rules import find
from keepfit.spec import load_project
from keepfit.spec.policy import PolicySpec
from keepfit.testing import PolicyTests, blind_week, matrix, week

GUIDE = Path(__file__).parents[2] / "docs" / "policies.md"
BROKEN = """
from keepfit.policy import Finding

def strict(*, limit):
    if limit > 1:
        raise ValueError("limit must be at most 1")
    return lambda seen: Finding("strict", seen[-1].prediction.value > limit, "x")

def wordless():
    return lambda seen: True

def greedy():
    regret = lambda seen: seen[-1].regret and seen[-1].regret.value
    return lambda seen: Finding("greedy", None if regret(seen) is None else regret(seen) > 0, "x")

def forgetful(limit=0):
    return Finding("forgetful", True, "x")
"""


@pytest.fixture(scope="module", autouse=True)
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Put the policy that docs/policies.md shows, and some broken ones, where a project has its own."""
    root = tmp_path_factory.mktemp("project")
    [shown] = re.findall(
        r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    (root / "plugins").mkdir()
    (root / "plugins" / "shop_policies.py").write_text(shown)
    (root / "plugins" / "broken_policies.py").write_text(BROKEN)
    before = list(sys.path)
    use_plugins(root)
    yield
    sys.path[:] = before
    for name in ("shop_policies", "broken_policies"):
        sys.modules.pop(name, None)


def rule(function: str, **params: Any) -> Any:
    return PolicySpec.model_validate(
        {"rules": [{"rule": "own", "function": function, "params": params}]}
    ).rules[0]


class TestTheOneOfTheGuide(PolicyTests):
    @property
    def policy(self) -> Policy:
        return own_policy(rule("shop_policies:miscalibrated", limit=0.05, windows=2))


def test_replay_shows_a_policy_no_regret_that_the_live_loop_would_not_have_measured() -> None:
    made = matrix(
        3, lambda _cut, _at: 1.0, measured=lambda _cut, _at: {"regret": RegretSignal(0.5, 0.1, 900)}
    )
    greedy = {"rule": "own", "function": "broken_policies:greedy"}
    words = []
    for rules in ([greedy], [greedy, {"rule": "regret", "cost": 9}]):
        policy = PolicySpec.model_validate({"rules": rules})
        first = replace(made.cells[0, 0].signals, regret=None)
        words.append((needs_challenger(first, (), policy), walk(policy, made).steps[0].verdict.word))
    assert words == [(False, "insufficient"), (True, "retrain")]


@pytest.mark.parametrize(
    "named",
    [
        {"rule": "performance"},
        {"rule": "upf", "cost": 0.1},
        {"rule": "m_of_n", "m": 2, "n": 3, "of": {"rule": "drift_share"}},
        {"rule": "all", "of": [{"rule": "regret", "cost": 0.1}, {"rule": "calendar", "every": "9d"}]},
    ],
    ids=lambda each: each["rule"],
)
def test_keepfits_own_rules_keep_the_contract_they_ask_of_others(named: dict[str, Any]) -> None:
    [read] = PolicySpec.model_validate({"rules": [named]}).rules

    class Contract(PolicyTests):
        @property
        def policy(self) -> Policy:
            return lambda seen: find(read, seen)

    tests: list[Callable[[], None]] = [
        getattr(Contract(), name) for name in dir(Contract) if name.startswith("test_")
    ]
    assert len(tests) == 4
    for test in tests:
        test()


def test_it_is_asked_like_any_other_rule() -> None:
    off = [week(number, calibration=Score(0.08, 0.01, "")) for number in (1, 2)]
    policy = PolicySpec(rules=(rule("shop_policies:miscalibrated", limit=0.05, windows=2),))
    asked = decide(off[1], off[:1], policy, History())
    assert (asked.word, asked.trigger) == ("retrain", "calibration")
    assert asked.reason == "the calibration error was at least 0.08 in 2 windows in a row (limit 0.05)"
    assert decide(off[0], (), policy, History()).word == "keep"
    blind = decide(blind_week(2), off[:1], policy, History())
    assert (blind.word, blind.reason) == (
        "insufficient",
        "the calibration error was not measured in each of them",
    )


def test_it_takes_part_in_combinations() -> None:
    both = {"rule": "all", "of": [rule("shop_policies:miscalibrated", limit=0.005, windows=1).model_dump()]}
    assert decide(week(1), (), PolicySpec.model_validate({"rules": [both]}), History()).word == "retrain"


@pytest.mark.parametrize(
    ("function", "params", "told"),
    [
        (
            "broken_policies:strict",
            {"bound": 1},
            "The policy 'broken_policies:strict' does not take bound=1: ",
        ),
        ("broken_policies:strict", {"limit": 2}, "does not take limit=2: limit must be at most 1. Correct"),
        ("broken_policies:strict", {}, "does not take no parameters"),
        (
            "broken_policies:forgetful",
            {},
            "which cannot be asked. It takes the parameters and returns a function",
        ),
    ],
)
def test_parameters_it_does_not_take_are_named(function: str, params: dict[str, Any], told: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(told)):
        own_policy(rule(function, **params))


def test_a_function_that_is_not_there_is_named() -> None:
    with pytest.raises(
        UnknownPluginError, match=r"'broken_policies:nobody' of 'keepfit.policies' does not load"
    ):
        own_policy(rule("broken_policies:nobody"))
    with pytest.raises(UnknownPluginError, match=r"No plugin 'nobody' in 'keepfit.policies'"):
        own_policy(rule("nobody"))


def test_where_it_fails_the_window_is_named() -> None:
    with pytest.raises(
        PolicyError,
        match=r"'broken_policies:strict' failed on the window ending 2024-01-08T00:00:00\+00:00: TypeError: "
        r".* Correct it: what it cannot know it answers with fires=None\.",
    ):
        find(rule("broken_policies:strict", limit=1), [blind_week(1)])


def test_an_answer_without_words_is_none() -> None:
    with pytest.raises(
        PolicyError, match=r"gave True. Give a keepfit.policy.Finding\(trigger, fires, text\)"
    ):
        find(rule("broken_policies:wordless"), [week(1)])
    assert Finding("x", True, "y").sees == "harm"


def test_a_check_names_the_place_in_the_policy(tmp_path: Path) -> None:
    repo = tmp_path / "feature_repo"
    (repo / "datasets").mkdir(parents=True)
    (repo / "models").mkdir()
    (repo / "keepfit.yaml").write_text("project: shop\ndatabase: sqlite\n")
    (repo / "datasets" / "orders.yaml").write_text(
        "name: orders\nsource: {type: files, path: orders.csv}\nkey: [id]\nevent_time: at\n"
        "columns: {id: string, at: timestamp, returned: int64}\n"
    )
    (repo / "models" / "returns.yaml").write_text(
        "name: returns\ntask: classification\nentities: {dataset: orders}\nfeatures: orders\n"
        "label: {column: returned, delay: 14d}\n"
        "train: {holdout: 21d, candidates: [{trainer: lightgbm}]}\nevaluate: {objective: log_loss}\n"
        "policy:\n  rules:\n    - {rule: performance}\n"
        "    - rule: any\n      of:\n"
        "        - {rule: own, function: 'broken_policies:nobody'}\n"
        "        - {rule: own, function: 'broken_policies:strict', params: {limit: 2}}\n"
    )
    found = [str(each) for each in plugin_problems(load_project(tmp_path))]
    assert found[0].startswith(
        "models/returns.yaml: policy.rules[1].of[0].function: The plugin 'broken_policies:nobody' of"
    )
    assert found[1].startswith(
        "models/returns.yaml: policy.rules[1].of[1].params: The policy 'broken_policies:strict' does not take"
    )
    assert len(found) == 2
