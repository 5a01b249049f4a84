"""Distances of sketches against Evidently's own numbers, and the level that luck alone reaches."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from evidently.legacy.calculations.stattests.registry import get_stattest
from evidently.legacy.core import ColumnType
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.backends.sketches import Sketch, sketch_values
from keepfit.backends.sketches.sketch import of_texts
from keepfit.steps.distances import Method, measure

Array = np.ndarray[Any, np.dtype[Any]]
METHODS: tuple[Method | None, ...] = (None, "wasserstein", "jensenshannon", "psi", "ks")


def evidentlys(old: Array, new: Array, method: Method | None) -> tuple[str, float, bool]:
    """Ask Evidently about clean values."""
    kind = ColumnType.Numerical if old.dtype.kind == "f" else ColumnType.Categorical
    reference, current = pd.Series(old), pd.Series(new)
    test = get_stattest(reference, current, kind, method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = test(reference, current, kind, None)
    return test.name, float(found.drift_score), bool(found.drifted)


def sketched(values: Array) -> Sketch:
    if values.dtype.kind == "f":
        return sketch_values(values)
    texts, counts = np.unique(values.astype(str), return_counts=True)
    return of_texts(dict(zip(texts.tolist(), counts.tolist(), strict=True)), len(values))


def assert_evidentlys(old: Array, new: Array, method: Method | None, within: float = 1e-9) -> None:
    name, score, drifted = evidentlys(old, new, method)
    found = measure(sketched(old), sketched(new), method)
    assert found.method == name
    assert found.score == pytest.approx(score, abs=within, rel=within)
    assert found.drifted == drifted or abs(score - found.threshold) < 2 * within


MAKERS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "normal": lambda chance, rows: chance.normal(0.1, 1, rows),
    "ties": lambda chance, rows: chance.integers(0, 60, rows).astype(float),
    "few": lambda chance, rows: chance.integers(0, 4, rows).astype(float),
    "two": lambda chance, rows: chance.integers(0, 2, rows).astype(float),
    "constant": lambda _, rows: np.full(rows, 7.0),
    "heavy": lambda chance, rows: chance.pareto(1.5, rows),
    "far off": lambda chance, rows: 1.3e9 + chance.normal(0, 50, rows),
    "letters": lambda chance, rows: chance.choice(list("abcdefg"), rows, p=[0.5, 0.3, *[0.04] * 5]),
    "yes and no": lambda chance, rows: chance.choice(["no", "yes"], rows, p=[0.7, 0.3]),
    "one word": lambda _, rows: np.full(rows, "same"),
    "identifiers": lambda chance, rows: chance.integers(0, 300, rows).astype(str),
}
sizes = st.sampled_from([1, 2, 30, 400, 1000, 1001, 2000])


@settings(max_examples=120, deadline=None)
@given(
    made=st.sampled_from(list(MAKERS)),
    rows=st.tuples(sizes, sizes),
    seed=st.integers(0, 9999),
    method=st.sampled_from(METHODS),
    by=st.sampled_from([0.0, 0.5, 3.0]),
)
def test_exact_sketches_give_evidentlys_numbers(
    made: str, rows: tuple[int, int], seed: int, method: Method | None, by: float
) -> None:
    chance = np.random.default_rng(seed)
    old, new = (MAKERS[made](chance, each) for each in rows)
    if old.dtype.kind == "f":
        new = new + np.round(by)
    elif method in ("wasserstein", "ks"):
        method = "psi"
    assert_evidentlys(old, new, method)


@pytest.mark.parametrize("made", ["normal", "heavy", "far off"])
@pytest.mark.parametrize("method", ["wasserstein", "jensenshannon", "psi"])
def test_grids_give_evidentlys_numbers_to_three_digits(made: str, method: Method) -> None:
    chance = np.random.default_rng(4)
    old, new = MAKERS[made](chance, 60_000), MAKERS[made](chance, 40_000) * 1.01
    assert not sketched(old).is_exact
    assert_evidentlys(old, new, method, 1e-3)
    assert_evidentlys(old, old[:30_000], method, 1e-3)


def test_of_grids_the_kolmogorov_smirnov_test_sees_the_ends_of_cells_only() -> None:
    chance = np.random.default_rng(4)
    for by in (0.0, 0.01, 0.02, 0.1):
        old, new = chance.normal(size=60_000), chance.normal(by, 1, 40_000)
        _, score, _ = evidentlys(old, new, "ks")
        found = measure(sketched(old), sketched(new), "ks")
        assert score - 1e-9 <= found.score <= score + 0.1


def test_a_category_that_the_reference_does_not_have_is_evidentlys_too() -> None:
    old, new = np.array(list("aabbc") * 100), np.array(list("aabbd") * 90)
    for method in (None, "jensenshannon", "psi"):
        assert_evidentlys(old, new, method)
        assert_evidentlys(np.repeat(old, 3), new, method)


def test_columns_of_tiny_numbers_are_seen_where_evidently_is_blind() -> None:
    chance = np.random.default_rng(4)
    old, new = chance.normal(size=3000) * 1e-5, (chance.normal(size=3000) + 4) * 1e-5
    _, score, drifted = evidentlys(old, new, "wasserstein")
    assert score == pytest.approx(0.04, abs=0.001)
    assert not drifted
    assert measure(sketched(old), sketched(new)).score == pytest.approx(4, abs=0.1)


def test_a_constant_reference_is_scaled_as_evidently_does() -> None:
    assert_evidentlys(np.full(3000, 0.1), np.linspace(0, 1, 50), "wasserstein")


@pytest.mark.parametrize("made", ["normal", "ties", "few", "two", "heavy", "letters", "yes and no"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [(800, 600), (3000, 1500)])
def test_luck_alone_goes_beyond_the_noise_level_in_a_few_of_a_hundred_cases(
    made: str, method: Method | None, rows: tuple[int, int]
) -> None:
    """Draw both sides from the same rows, again and again, with a fixed seed."""
    chance = np.random.default_rng(8)
    if MAKERS[made](chance, 1).dtype.kind != "f" and method in ("wasserstein", "ks"):
        return
    beyond, times = 0, 100
    for _ in range(times):
        old, new = (sketched(MAKERS[made](chance, each)) for each in rows)
        found = measure(old, new, method)
        downwards = found.method in ("ks", "chisquare", "z")
        beyond += found.score < found.noise if downwards else found.score > found.noise
    assert beyond <= 8


def test_a_shift_beyond_luck_is_beyond_the_noise_level() -> None:
    chance = np.random.default_rng(8)
    old, new = (sketch_values(chance.normal(by, 1, 20_000)) for by in (0, 0.1))
    for method in METHODS[1:]:
        found = measure(old, new, method)
        assert found.score < found.noise if method == "ks" else found.score > found.noise, method
