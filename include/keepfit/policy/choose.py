"""Choose a policy on the first part of the windows, and report it on the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

from keepfit.policy.candidates import CALENDARS, Candidate, calendar_name, candidates, window_length
from keepfit.policy.certainty import Difference, difference
from keepfit.policy.matrix import Matrix
from keepfit.policy.parts import Part, parts
from keepfit.policy.replay import Walk, walk
from keepfit.spec.policy import PolicySpec

NEAR = 0.1
"""Costs that differ by less than this share of a training's price are the same for choosing."""


@dataclass(frozen=True)
class Tried:
    """A candidate and how it did on both parts; it enters the second with the champion it has by then."""

    candidate: Candidate
    kind: str
    """Which rows a training takes."""
    chosen_on: Walk
    reported_on: Walk

    @property
    def walks(self) -> tuple[Walk, Walk]:
        """On the part to choose on, and on the one to report."""
        return self.chosen_on, self.reported_on


@dataclass(frozen=True)
class Ranking:
    """All that was tried, and the one chosen."""

    model: str
    objective: str
    price: float
    gate: bool
    choosing: Part
    reporting: Part
    tried: tuple[Tried, ...]
    """The cheapest on the part to choose on first."""
    winner: Tried
    fixed: tuple[Tried, ...]
    """Never, the calendars, and drift share 0.5: what most do, with nothing holding it back."""
    present: Tried

    def against(self, other: Tried) -> tuple[Difference, Difference]:
        """Compare the winner with another, on both parts."""
        one, two = (
            difference(mine.costs(self.price), theirs.costs(self.price))
            for mine, theirs in zip(self.winner.walks, other.walks, strict=True)
        )
        return one, two


def rank(
    own: PolicySpec, matrices: Sequence[Matrix], price: float, split: float = 0.5, gate: bool = True
) -> Ranking:
    """Try all candidates, and choose on the first part alone.

    Args:
        own: The model's present policy.
        matrices: One for each kind of training rows, the present kind first.
        price: Of one training, in units of the objective summed over windows.
        split: The share of the windows to choose on.
        gate: Whether challengers have to pass the gate.

    Raises:
        ReplayError: The price or the split is impossible, the windows are too few or differ by kind.
    """
    matrices, first, rest = parts(matrices, price, split)
    walked = [
        (each, matrix.kind, walk(each.policy, matrix, gate=gate))
        for matrix in matrices
        for each in candidates(own, matrix, price, range(first.first, first.last))
    ]
    tried = [
        Tried(each, kind, *(way.within(part.first, part.last) for part in (first, rest)))
        for each, kind, way in walked
    ]
    tried = _without_twins(tried)
    ordered = sorted(tried, key=lambda each: each.chosen_on.cost(price))
    return Ranking(
        model=matrices[0].model,
        objective=matrices[0].objective,
        price=price,
        gate=gate,
        choosing=first,
        reporting=rest,
        tried=tuple(ordered),
        winner=_winner(tried, price),
        fixed=_fixed(tried, matrices[0]),
        present=tried[0],
    )


def _winner(tried: Sequence[Tried], price: float) -> Tried:
    """Take the simplest of the cheapest, then the fewest trainings, then the present kind of rows."""
    kinds = list(dict.fromkeys(each.kind for each in tried))
    least = min(each.chosen_on.cost(price) for each in tried)
    near = [each for each in tried if each.chosen_on.cost(price) <= least + NEAR * price]
    return min(
        near,
        key=lambda each: (
            each.candidate.size,
            each.chosen_on.trainings,
            kinds.index(each.kind),
            each.chosen_on.cost(price),
        ),
    )


def _fixed(tried: Sequence[Tried], matrix: Matrix) -> tuple[Tried, ...]:
    length = window_length(matrix)
    names = ("never", *(calendar_name(each * length) for each in CALENDARS), "drift share 0.5")
    # A later one of a name is the one that nothing holds back, if it differs at all.
    known = {each.candidate.name: each for each in tried if each.kind == matrix.kind}
    return tuple(known[name] for name in names)


def _without_twins(tried: Sequence[Tried]) -> list[Tried]:
    """Leave out what differs from its restrained sibling in nothing that was decided."""
    held = {(each.kind, each.candidate.name): _path(each) for each in tried if each.candidate.restrained}
    return [
        each
        for each in tried
        if each.candidate.restrained or held[each.kind, each.candidate.name] != _path(each)
    ]


def _path(tried: Tried) -> list[tuple[int, str]]:
    return [(step.champion, step.verdict.word) for each in tried.walks for step in each.steps]
