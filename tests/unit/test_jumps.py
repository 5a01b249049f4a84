"""A column jumps that moves as it never did; without a calibration the windows before say how it does."""

from collections.abc import Sequence

import numpy as np
import pytest

from keepfit.backends.sketches import Sketch, sketch_values
from keepfit.backends.sketches.sketch import of_texts
from keepfit.steps.faults import find_faults

MEANS = (60.0, 61.5, 60.5, 61.0)
"""Of the windows before: the longest way between two in a row is 1.5, so 4.5 is the longest that is usual."""


def temperatures(mean: float, rows: int = 400, spread: float = 1.0) -> Sketch:
    """Spread values evenly, so that the way between two windows is that between their means."""
    places = (np.arange(rows) + 0.5) / rows - 0.5
    return sketch_values(np.sqrt(12) * spread * places + mean)


def cities(first: int) -> Sketch:
    """Give the first of three cities so many of 300 rows."""
    return of_texts({"Oslo": first, "Rome": (300 - first) // 2, "Bern": (300 - first) // 2}, 300)


def jumped(before: Sequence[Sketch], current: Sketch) -> bool:
    """Look without a calibration."""
    windows = [{"column": each} for each in before]
    return find_faults(windows[0], windows, {"column": current}).jumped == ("column",)


def test_a_column_jumps_three_times_as_far_as_it_ever_went() -> None:
    before = [temperatures(mean) for mean in MEANS]
    assert jumped(before, temperatures(61.0 + 4.7))
    assert jumped(before, temperatures(61.0 - 4.7))
    assert not jumped(before, temperatures(61.0 + 4.3))
    assert not jumped(before, temperatures(61.0 - 4.3))


def test_a_column_that_hardly_ever_moved_jumps_by_half_a_standard_deviation() -> None:
    before = [temperatures(mean / 1000, spread=2.0) for mean in MEANS]
    assert jumped(before, temperatures(0.061 + 1.1, spread=2.0))
    assert not jumped(before, temperatures(0.061 + 0.9, spread=2.0))


def test_a_category_jumps_that_is_chosen_as_never_before() -> None:
    before = [cities(first) for first in (100, 110, 90, 100)]
    assert jumped(before, cities(250))
    assert not jumped(before, cities(150))


def test_a_flag_that_was_never_set_jumps_only_when_it_is_set_often() -> None:
    never, seldom = np.zeros(400), np.repeat([0.0, 1.0], [392, 8])
    before = [sketch_values(never)] * 4
    assert not jumped(before, sketch_values(seldom))
    assert jumped(before, sketch_values(np.repeat([0.0, 1.0], [100, 300])))


@pytest.mark.parametrize("windows", [1, 2, 3])
def test_nothing_jumps_while_nobody_knows_how_a_column_moves(windows: int) -> None:
    before = [temperatures(mean) for mean in MEANS]
    assert not jumped(before[:windows], temperatures(5000.0))
    assert jumped(before, temperatures(5000.0))


def test_windows_with_few_values_say_nothing_of_how_a_column_moves() -> None:
    before = [temperatures(mean) for mean in MEANS]
    assert not jumped(before, temperatures(5000.0, rows=99))
    assert not jumped([*before[:3], temperatures(61.0, rows=99)], temperatures(5000.0))
    assert jumped([*before, temperatures(5000.0, rows=99)], temperatures(5000.0))
