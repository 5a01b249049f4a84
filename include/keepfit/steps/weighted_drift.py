"""Weighted drift: the drift of the features, each by what it is worth to the champion."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from keepfit.policy import Score

ENOUGH = 0.5
"""Where features of less than this part of the worth were compared, nothing is told."""
_P_VALUES = frozenset({"ks", "chisquare", "z"})


class Drifted(Protocol):
    """How far one column is from its reference."""

    @property
    def column(self) -> str:
        """Name it."""

    @property
    def method(self) -> str:
        """Say what `score` is."""

    @property
    def score(self) -> float:
        """Return a distance, or a p-value."""

    @property
    def threshold(self) -> float:
        """Return the score at which it counts as drifted."""


def weighted_drift(
    columns: Sequence[Drifted], shares: Mapping[str, float] | None, version: str, noise: Mapping[str, float]
) -> Score:
    """Sum up share of importance times drift, where 1 stands for a column that is just at its threshold.

    So distances, in whatever unit, and p-values add up. Where all the worth lies in columns at their
    thresholds the sum is 1; columns that were not compared are left out, and the rest stands for them.

    Args:
        columns: The columns that were compared.
        shares: Each feature's part of the worth; None where nobody measured it.
        version: The champion.
        noise: What chance alone brings a column's score to, where that is known.
    """
    if shares is None:
        return Score(reason=f"not measured: version {version} has no importances; train it again")
    if not shares:
        return Score(reason=f"no feature is worth anything to version {version}")
    known = [each for each in columns if shares.get(each.column)]
    covered = sum(shares[each.column] for each in known)
    if covered < ENOUGH:
        return Score(reason=f"features of {covered:.0%} of the importance were compared, {ENOUGH:.0%} needed")
    weights = {each.column: shares[each.column] / covered for each in known}
    value = sum(weights[each.column] * _in_thresholds(each, each.score) for each in known)
    told = [each for each in known if each.column in noise]
    chance = [weights[each.column] * _in_thresholds(each, noise[each.column]) for each in told]
    return Score(value, sum(chance) if len(told) == len(known) else None, "")


def _in_thresholds(column: Drifted, score: float) -> float:
    """Return how far a score is, where its threshold is 1."""
    if column.method in _P_VALUES:
        return (1 - score) / (1 - column.threshold)
    return score / column.threshold
