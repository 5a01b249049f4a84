"""The search of hyper-parameters: it stops when it is good enough, and goes on after a kill."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from keepfit.backends.search import search
from keepfit.errors import TrainingError
from keepfit.spec.model import Choice, FloatRange, IntRange, SearchSpec

SPACE = {
    "x": FloatRange(low=-5, high=5),
    "n": IntRange(low=1, high=100, log=True),
    "kind": Choice(choices=("a", "b", None)),
}


def bowl(params: Mapping[str, Any]) -> float:
    distance: float = (params["x"] - 1) ** 2 + abs(params["n"] - 10) / 10
    return distance + (0 if params["kind"] == "b" else 1)


def spec(**changes: Any) -> SearchSpec:
    return SearchSpec(**{"space": SPACE, "trials": 30, "patience": 30, **changes})


def test_it_comes_near_the_best_parameters() -> None:
    found = search(spec(trials=60, patience=60), bowl, higher_is_better=False, seed=1)
    assert found.value < 0.5
    assert found.params["kind"] == "b"
    assert (found.trials, found.stopped) == (60, "trials")


def test_the_same_seed_finds_the_same() -> None:
    assert search(spec(), bowl, higher_is_better=False, seed=3) == search(
        spec(), bowl, higher_is_better=False, seed=3
    )


def test_another_seed_tries_something_else() -> None:
    assert search(spec(), bowl, higher_is_better=False, seed=3) != search(
        spec(), bowl, higher_is_better=False, seed=4
    )


def test_no_two_trials_are_the_same() -> None:
    tried: list[float] = []

    def noted(params: Mapping[str, Any]) -> float:
        tried.append(params["x"])
        return bowl(params)

    search(spec(), noted, higher_is_better=False, seed=3)
    assert len(set(tried)) == 30


def test_it_stops_when_it_is_good_enough() -> None:
    found = search(spec(good_enough=3.0), bowl, higher_is_better=False, seed=1)
    assert found.stopped == "good_enough"
    assert found.value <= 3.0
    assert found.trials < 30


def test_good_enough_means_at_least_where_higher_is_better() -> None:
    found = search(spec(good_enough=-3.0), lambda params: -bowl(params), higher_is_better=True, seed=1)
    assert found.stopped == "good_enough"
    assert found.value >= -3.0


def test_it_stops_when_nothing_has_been_better_for_a_while() -> None:
    found = search(spec(patience=4), lambda _: 1.0, higher_is_better=False, seed=1)
    assert (found.trials, found.stopped) == (5, "patience")


def test_killed_and_begun_again_it_finds_what_an_undisturbed_search_finds(tmp_path: Path) -> None:
    journal = tmp_path / "search.json"
    script = (
        "import os, signal, sys; sys.path.insert(0, 'tests/unit')\n"
        "from pathlib import Path\n"
        "from test_search import bowl, search, spec\n"
        "seen = []\n"
        "def deadly(params):\n"
        "    seen.append(params)\n"
        "    if len(seen) == 15: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return bowl(params)\n"
        "search(spec(), deadly, higher_is_better=False, seed=3, journal=Path(sys.argv[1]))\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(journal)], check=False, env=os.environ)
    assert killed.returncode == -9
    assert len(json.loads(journal.read_text())) == 14
    calls: list[float] = []

    def counted(params: Mapping[str, Any]) -> float:
        calls.append(bowl(params))
        return calls[-1]

    found = search(spec(), counted, higher_is_better=False, seed=3, journal=journal)
    assert found == search(spec(), bowl, higher_is_better=False, seed=3)
    assert len(calls) == 30 - 14


def test_a_finished_search_is_not_done_again(tmp_path: Path) -> None:
    journal = tmp_path / "search.json"
    first = search(spec(), bowl, higher_is_better=False, seed=3, journal=journal)

    def never(_: Mapping[str, Any]) -> float:
        raise AssertionError("scored again")

    assert search(spec(), never, higher_is_better=False, seed=3, journal=journal) == first


def test_an_objective_that_is_no_number_says_what_to_do() -> None:
    with pytest.raises(TrainingError, match=r"the validation rows do not define it.*`search\.validation`"):
        search(spec(), lambda _: float("nan"), higher_is_better=False, seed=1)
