"""How far two sketches of a column are apart, by Evidently's definitions, and what luck alone would give.

The scores are those of Evidently 0.7.23 (`evidently.legacy.calculations.stattests`) of the same rows: to the
last digits while the sketches are exact, and within 0.001 where they are grids, whose cells count as points
at their means. It differs on purpose where the reference's standard deviation is below 0.001: Evidently then
divides by 0.001 and finds no shift in columns of tiny numbers.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats
from scipy.spatial import distance

from keepfit.backends.sketches import Sketch
from keepfit.steps.binned import below, bins, ends, of_each_value
from keepfit.steps.noise import LUCK, Array, Counts, by_draws, of_chi_square, of_wasserstein

Method = Literal["wasserstein", "jensenshannon", "psi", "ks", "chisquare", "z"]
P_VALUES: frozenset[Method] = frozenset({"ks", "chisquare", "z"})
NUMBERS_ONLY: frozenset[Method] = frozenset({"wasserstein", "ks"})
_FLOOR = 0.001
"""What a constant reference is divided by."""
_SMALL = 1000
"""Up to so many reference rows Evidently tests, beyond it measures a distance."""
_FEW, _TWO = 5, 2
_RARE = 0.0001
_EXACT = 10_000
"""Up to so many values on each side SciPy counts the Kolmogorov-Smirnov p-value out."""


@dataclass(frozen=True)
class Distance:
    """How far a column is from its reference."""

    method: Method
    score: float
    """A distance, or a p-value: only `drifted` knows in which direction it counts."""
    threshold: float
    drifted: bool
    noise: float
    """Beyond this lies the score of two samples of the same rows in a few per cent of the cases."""


def measure(
    reference: Sketch, current: Sketch, method: Method | None = None, threshold: float | None = None
) -> Distance:
    """Compare two sketches of one kind that both hold values.

    Args:
        reference: What the other is held against.
        current: What is to be judged.
        method: Evidently's choice by the reference's size and the number of values when not given.
        threshold: The score from which a column has drifted; Evidently's own when not given.
    """
    method = method or default_method(reference, current)
    limit = threshold if threshold is not None else (0.05 if method in P_VALUES else 0.1)
    score, noise = _METHODS[method](reference, current)
    return Distance(method, score, limit, _has_drifted(method, score, limit), noise)


def default_method(reference: Sketch, current: Sketch) -> Method:
    """Choose as Evidently does."""
    distinct = max(len(reference.values), len(current.values))
    if distinct <= _FEW:
        distinct = len(np.union1d(reference.values, current.values))
    many = reference.kind == "number" and distinct > _FEW
    if reference.n > _SMALL:
        return "wasserstein" if many else "jensenshannon"
    if many:
        return "ks"
    return "z" if distinct <= _TWO else "chisquare"


def _has_drifted(method: Method, score: float, limit: float) -> bool:
    if method not in P_VALUES:
        return score >= limit
    return score <= limit if method == "ks" else score < limit


def _wasserstein(reference: Sketch, current: Sketch) -> tuple[float, float]:
    norm = reference.std or _FLOOR
    far = stats.wasserstein_distance(reference.values, current.values, reference.counts, current.counts)
    return float(far) / norm, of_wasserstein(reference, current) / norm


def _ks(reference: Sketch, current: Sketch) -> tuple[float, float]:
    n, m = reference.n, current.n
    if max(n, m) <= _EXACT and reference.is_exact and current.is_exact:
        sides = (np.repeat(each.values, each.counts) for each in (reference, current))
        with warnings.catch_warnings():
            # SciPy tells when it falls back to the approximate p-value.
            warnings.simplefilter("ignore", RuntimeWarning)
            return float(stats.ks_2samp(*sides).pvalue), LUCK
    at = ends(reference, current)
    apart = np.abs(below(reference, at) / n - below(current, at) / m)
    return float(np.clip(stats.kstwo.sf(apart.max(), np.round(n * m / (n + m))), 0, 1)), LUCK


def _chi_square(reference: Sketch, current: Sketch) -> tuple[float, float]:
    old, new = of_each_value(reference, current)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = stats.chisquare(new, old * (current.n / reference.n)).pvalue
    return float(found), of_chi_square(len(old), reference.n, current.n)


def _z(reference: Sketch, current: Sketch) -> tuple[float, float]:
    old, new = of_each_value(reference, current)
    n, m = reference.n, current.n
    if len(old) == 1:
        return 1.0, LUCK
    pooled = (old[0] + new[0]) / (n + m)
    z = (old[0] / n - new[0] / m) / math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return float(2 * (1 - stats.norm.cdf(abs(z)))), LUCK


def _jensen_shannon(reference: Sketch, current: Sketch) -> tuple[float, float]:
    return _binned(_jensen_shannon_of, reference, current)


def _psi(reference: Sketch, current: Sketch) -> tuple[float, float]:
    return _binned(_psi_of, reference, current)


def _binned(
    score: Callable[[Counts, Counts], Array], reference: Sketch, current: Sketch
) -> tuple[float, float]:
    old, new = bins(reference, current)
    return float(score(old[None], new[None])[0]), by_draws(score, old, new)


def _jensen_shannon_of(old: Counts, new: Counts) -> Array:
    found = distance.jensenshannon(_shares(old), _shares(new), axis=1)
    return np.asarray(found, np.float64)


def _psi_of(old: Counts, new: Counts) -> Array:
    before, after = _without_zeros(_shares(old)), _without_zeros(_shares(new))
    return np.asarray(np.sum((before - after) * np.log(before / after), axis=1), np.float64)


def _shares(counts: Counts) -> Array:
    return np.asarray(counts / counts.sum(axis=1, keepdims=True), np.float64)


def _without_zeros(shares: Array) -> Array:
    """Fill empty bins as Evidently does."""
    least = np.min(shares, axis=1, keepdims=True, where=shares > 0, initial=1.0)
    return np.where(shares == 0, np.where(least <= _RARE, least / 10**6, _RARE), shares)


_METHODS: dict[Method, Callable[[Sketch, Sketch], tuple[float, float]]] = {
    "wasserstein": _wasserstein,
    "jensenshannon": _jensen_shannon,
    "psi": _psi,
    "ks": _ks,
    "chisquare": _chi_square,
    "z": _z,
}
