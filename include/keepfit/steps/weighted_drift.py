"""Weighted drift: the drift of the features, each by what it is worth to the champion."""

from collections.abc import Mapping, Sequence

from keepfit.policy import Score
from keepfit.steps.detect_drift import ColumnDrift
from keepfit.steps.distances import P_VALUES

ENOUGH = 0.5
"""Where features of less than this part of the worth were compared, nothing is told."""


def weighted_drift(columns: Sequence[ColumnDrift], shares: Mapping[str, float] | None, version: str) -> Score:
    """Sum up share of importance times drift, where 1 stands for a column that is just at its threshold.

    So distances, in whatever unit, and p-values add up. Where all the worth lies in columns at their
    thresholds the sum is 1; columns that were not compared are left out, and the rest stands for them. The
    noise is the columns' own, summed up likewise: more than chance brings if they move independently.

    Args:
        columns: The columns that were compared.
        shares: Each feature's part of the worth; None where nobody measured it.
        version: The champion.
    """
    if shares is None:
        return Score(reason=f"not measured: version {version} has no importances; train it again")
    if not shares:
        return Score(reason=f"no feature is worth anything to version {version}")
    known = [each for each in columns if shares.get(each.column)]
    covered = sum(shares[each.column] for each in known)
    if covered < ENOUGH:
        return Score(reason=f"features of {covered:.0%} of the importance were compared, {ENOUGH:.0%} needed")
    value, noise = (
        sum(shares[each.column] / covered * _in_thresholds(each, score) for each, score in scores)
        for scores in ([(each, each.score) for each in known], [(each, each.noise) for each in known])
    )
    return Score(value, noise, "")


def _in_thresholds(column: ColumnDrift, score: float) -> float:
    """Return how far a score is, where its threshold is 1."""
    if column.method in P_VALUES:
        # Below a threshold of 1 lies every p-value.
        return (1 - score) / (1 - column.threshold) if column.threshold < 1 else 1.0
    return score / column.threshold
