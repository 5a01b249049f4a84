"""The example's policies are those that a replay chose, and the demo says whether that still holds."""

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from demo.chosen import COSTS, tell_choice
from rich.console import Console

from keepfit.spec import ModelSpec, load_project
from keepfit.spec.policy import PolicySpec
from keepfit.steps.choose_policy import choose_policy
from keepfit.testing import matrix

MODELS = load_project(Path(__file__).parents[2]).models
NEVER = PolicySpec(rules=())


def said_about(folder: Path, spec: ModelSpec) -> str:
    """Return what the demo says of a replay in which no model ages, on a narrow terminal."""
    choice = choose_policy(spec, [matrix(20, lambda _cut, _at: 1.0)], 0.5)
    (folder / "choice.json").write_text(json.dumps(choice.to_json()))
    told = StringIO()
    tell_choice(Console(file=told, width=100), spec, folder / "replay.html")
    return told.getvalue()


@pytest.mark.parametrize("model", MODELS)
def test_a_policy_of_the_example_names_the_replay_that_chose_it(model: str) -> None:
    policy, objective = MODELS[model].policy, MODELS[model].evaluate.objective
    assert policy.rules
    said = re.fullmatch(
        r"replay of 2013-01-\d\d to 2013-\d\d-\d\d: cost [\d.]+ against [\d.]+ never .*, a training at "
        r"(?P<cost>[\d.]+) of (?P<of>\w+); not chosen on but held against 2013-\d\d-\d\d to 2013-04-01: .*",
        policy.because,
    )
    assert said, policy.because
    assert (float(said["cost"]), said["of"]) == (COSTS[model], objective)


def test_the_demo_says_that_replay_chose_the_policy_in_the_file(tmp_path: Path) -> None:
    spec = MODELS["flight_delay"].model_copy(update={"policy": NEVER})
    said = said_about(tmp_path, spec)
    assert "never (chosen)" in said
    assert "oracle (knows the future)" in said
    assert "This is the policy in feature_repo/models/flight_delay.yaml: replay chose it" in said
    assert f"The whole report: {tmp_path / 'replay.html'}" in said


def test_the_demo_says_that_the_file_has_another_policy_than_replay_chose_and_goes_on(tmp_path: Path) -> None:
    said = " ".join(said_about(tmp_path, MODELS["arrival_delay"]).split())
    assert "The policy in feature_repo/models/arrival_delay.yaml is another one" in said
    assert "Its reason: replay of 2013-01-21 to 2013-02-25: cost 199.436" in said
    assert "This is the policy" not in said
