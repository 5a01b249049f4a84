"""What is it worth that `performance` and the gate know the mean label, too?

Run it as `python benchmarks/bar.py`. A champion that was trained in the middle of a change has a bad holdout,
and so a low bar. Worlds of which the truth is known are walked over by the same policies three times: held
against the holdout alone, as it was; held against the mean label of that holdout, too, as it is; and so with
a stricter gate, which refuses what does no better on its holdout than the mean label. `--worlds 10` makes it
shorter.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
from common import say
from simulated import SEED, first_loss
from worlds import FEATURES, KINDS, PAST, WINDOWS, Array, History, World, stationary

from keepfit.policy import Matrix, walk
from keepfit.spec.policy import Performance, PolicySpec

PRICES = (0.025, 0.125)
"""Of a training, in mean losses of the first model in a window of the first half."""
ROUND = PAST + WINDOWS


def _rule(worse_by: float) -> tuple[Performance]:
    return (Performance(rule="performance", worse_by=worse_by),)


POLICIES: Mapping[str, PolicySpec] = {
    "2 %": PolicySpec(rules=_rule(0.02)),
    "10 %": PolicySpec(rules=_rule(0.1)),
    "the default": PolicySpec(),
}


def at_once(chance: np.random.Generator) -> World:
    """Twice in the history, on average, the old line says nothing any more, and another one holds."""
    world = stationary(chance)
    slopes = world.slopes.copy()
    for at in _changes(chance, 2):
        slopes[at:] = _line(chance)
    return replace(world, slopes=slopes)


def slowly(chance: np.random.Generator) -> World:
    """Another line takes ten weeks to come, twice on average."""
    world = stationary(chance)
    slopes = world.slopes.copy()
    for at in _changes(chance, 2):
        share = np.clip((np.arange(ROUND - at) + 1) / 10, 0, 1)[:, None]
        slopes[at:] = (1 - share) * slopes[at] + share * _line(chance)
    return replace(world, slopes=slopes)


def levels(chance: np.random.Generator) -> World:
    """The level of all labels jumps three times, on average."""
    world, jumped = stationary(chance), np.zeros(ROUND)
    for at in _changes(chance, 3):
        jumped[at:] += chance.normal(0, 1.5)
    return replace(world, levels=jumped)


def swinging(chance: np.random.Generator) -> World:
    """A weak line, and a level that goes up and down twice a year."""
    angle = 4 * np.pi * np.arange(ROUND) / 52 + chance.uniform(0, 2 * np.pi)
    return replace(weak(chance), levels=np.sin(angle))


def gone(chance: np.random.Generator) -> World:
    """From some week on there is nothing to learn any more."""
    world = stationary(chance)
    slopes = world.slopes.copy()
    slopes[PAST + chance.integers(5, WINDOWS - 8) :] = 0
    return replace(world, slopes=slopes)


def weak(chance: np.random.Generator) -> World:
    """Nothing changes, and the model is worth 5 % of the loss."""
    world = stationary(chance)
    return replace(world, noise=4 * world.noise)


def hard_weeks(chance: np.random.Generator) -> World:
    """The model is worth 1 % of the loss, and one week in ten is a hard one."""
    world = stationary(chance)
    return replace(world, noise=8 * world.noise * (1 + 0.6 * (chance.random(ROUND) < 0.1)))


def nothing_to_learn(chance: np.random.Generator) -> World:
    """No model is worth anything."""
    world = stationary(chance)
    return replace(world, slopes=0 * world.slopes)


WORLDS: Mapping[str, Callable[[np.random.Generator], World]] = {
    "a new concept, at once": at_once,
    "a new concept, slowly": slowly,
    "nothing left to learn": gone,
    "levels jump": levels,
    **{name: KINDS[name] for name in ("breaks", "steady change", "seasons only", "nothing changes")},
    "weak, levels swing": swinging,
    "weak": weak,
    "weaker, hard weeks": hard_weeks,
    "never anything to learn": nothing_to_learn,
}


def _changes(chance: np.random.Generator, mean: int) -> "np.typing.NDArray[np.int64]":
    return np.flatnonzero(chance.random(ROUND) < mean / WINDOWS)


def _line(chance: np.random.Generator) -> Array:
    drawn = chance.normal(size=FEATURES)
    return np.asarray(drawn / np.linalg.norm(drawn))


def without_baseline(matrix: Matrix) -> Matrix:
    """Return the matrix as it was when nobody knew the mean label."""
    cells = {}
    for at, cell in matrix.cells.items():
        known = cell.signals.performance
        blind = known and replace(known, baseline=None, baseline_noise=None)
        cells[at] = replace(cell, signals=replace(cell.signals, performance=blind))
    return replace(matrix, cells=cells)


def more(kind: str, number: int) -> list[list[float]]:
    """Return what each policy costs more in one world, at each price, as it is and with the stricter gate."""
    chance = np.random.default_rng([SEED, list(WORLDS).index(kind), number])
    history = History(WORLDS[kind](chance), chance)
    now = history.matrix()
    strict = history.matrix(lambda old, new: history.passes(old, new) and history.useful(new))
    mean = first_loss(now, 0.5)
    found = []
    for policy in POLICIES.values():
        before, after, stricter = (walk(policy, each) for each in (without_baseline(now), now, strict))
        found.append(
            [
                (walked.cost(share * mean) - before.cost(share * mean)) / (share * mean)
                for walked in (after, stricter)
                for share in PRICES
            ]
        )
    return found


def main() -> None:
    """Print the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--worlds", type=int, default=200, help="simulated histories of each kind")
    worlds = asked.parse_args().worlds
    print(f"What each costs more (+) or less (-) than before, in trainings; {worlds} worlds of each kind.\n")
    heads = [f"{told}, {share:.1%}" for told in ("as it is", "stricter gate") for share in PRICES]
    print(f"| world | performance | {' | '.join(heads)} |")
    print(f"|---|---|{'---|' * len(heads)}")
    for kind in WORLDS:
        say(f"{worlds} worlds: {kind}")
        found = np.array([more(kind, number) for number in range(worlds)])
        for at, policy in enumerate(POLICIES):
            told = " | ".join(_mean(found[:, at, column].tolist()) for column in range(len(heads)))
            print(f"| {kind} | {policy} | {told} |")


def _mean(values: list[float]) -> str:
    error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{fmean(values):+.1f} +- {error:.1f}"


if __name__ == "__main__":
    main()
