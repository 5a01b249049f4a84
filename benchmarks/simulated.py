"""The choice by replay over many histories of which the truth is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
from common import say
from worlds import KINDS, WINDOWS, replayed

from keepfit.policy import Matrix, rank
from keepfit.spec.policy import PolicySpec

SEED = 2013
USUAL = {"never": "never", "1 window": "every 7 d", "4 windows": "every 28 d", "13 windows": "every 91 d"}
USUAL["drift share 0.5"] = "drift share 0.5"
NEAR = 1.0
"""Trainings that the chosen may cost more than the best of the usual and still be near it."""


@dataclass(frozen=True)
class Chosen:
    """What was chosen in one world, held against the usual policies on the half reported on."""

    more: tuple[float, ...]
    """What the chosen costs more than each of the usual, in trainings."""
    oracle: float
    """What it costs more than the oracle."""


def first_loss(matrix: Matrix, split: float) -> float:
    """Return the mean loss of the first model in a window of the half to choose on."""
    windows = range(round(split * len(matrix.windows)))
    return fmean(loss for at in windows if (loss := matrix.cells[0, at].loss) is not None)


def simulated(worlds: int, shares: Sequence[float], split: float) -> None:
    """Print, for each kind of world and price, what the chosen costs more than each of the usual."""
    print(
        f"\n## {worlds} simulated worlds of each kind, {WINDOWS} windows, half to choose on, with the gate\n"
    )
    print("What the chosen costs more (+) or less (-), in trainings: mean +- standard error.\n")
    print(f"| world | price | {' | '.join(USUAL)} | the best of these afterwards | near it | oracle |")
    print(f"|---|---|{'---|' * (len(USUAL) + 3)}")
    for kind in KINDS:
        say(f"{worlds} worlds: {kind}")
        found = [_choices(kind, number, shares, split) for number in range(worlds)]
        for at, share in enumerate(shares):
            told = [each[at] for each in found]
            against = [_mean([one.more[number] for one in told]) for number in range(len(USUAL))]
            best = [max(one.more) for one in told]
            near = fmean(each <= NEAR for each in best)
            print(
                f"| {kind} | {share:.1%} | {' | '.join(against)} | {_mean(best)} | {near:.0%} | "
                f"{_mean([one.oracle for one in told])} |"
            )


def _choices(kind: str, number: int, shares: Sequence[float], split: float) -> list[Chosen]:
    chance = np.random.default_rng([SEED, list(KINDS).index(kind), number])
    matrix = replayed(KINDS[kind](chance), chance)
    mean = first_loss(matrix, split)
    return [_chosen(matrix, share * mean, split) for share in shares]


def _chosen(matrix: Matrix, price: float, split: float) -> Chosen:
    ranking = rank(PolicySpec(), [matrix], price, split)
    costs = {each.candidate.name: each.reported_on.cost(price) for each in ranking.fixed}
    mine = ranking.winner.reported_on
    return Chosen(
        tuple((mine.cost(price) - costs[name]) / price for name in USUAL.values()),
        ranking.reporting.regret(mine, price) / price,
    )


def _mean(values: Sequence[float]) -> str:
    error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{fmean(values):+.1f} +- {error:.1f}"
