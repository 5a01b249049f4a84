"""Broken data is told from a shift in the world, in words with numbers."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from keepfit.backends.engine import engine
from keepfit.backends.sketches import Sketch, sketch_values
from keepfit.backends.sketches.sketch import of_texts
from keepfit.spec.project import EngineSpec
from keepfit.spec.window import Window
from keepfit.steps.alike_rows import ALIKE, alike_rows
from keepfit.steps.faults import Faults, find_faults
from keepfit.steps.sketch_window import sketch_window

ROWS = 2000
Columns = Mapping[str, Any]
Sketches = dict[str, Sketch]


def columns(seed: int, mean: float = 60.0, rows: int = ROWS) -> dict[str, Any]:
    """Draw a window: a temperature in whole Fahrenheit, a fare, a share that is often empty, a city."""
    chance = np.random.default_rng(seed)
    gust = chance.normal(20, 5, rows)
    gust[chance.random(rows) < chance.uniform(0.4, 0.7)] = np.nan
    return {
        "temp": np.rint(chance.normal(mean, 10, rows)),
        "fare": chance.lognormal(3, 0.6, rows),
        "gust": gust,
        "city": chance.choice(["Oslo", "Rome", "Bern", "Nice"], rows).tolist(),
    }


def sketched(window: Columns) -> Sketches:
    return {name: sketch_of(values) for name, values in window.items()}


def sketch_of(values: Any) -> Sketch:
    if isinstance(values, list):
        return of_texts(dict(Counter(each for each in values if each is not None)), len(values))
    return sketch_values(np.asarray(values, np.float64))


REFERENCE = sketched(columns(0, rows=10 * ROWS))
BEFORE = [sketched(columns(seed, mean=60 + 2 * (seed % 4))) for seed in range(1, 9)]


def judged(**changed: Any) -> tuple[str, ...]:
    return find_faults(REFERENCE, BEFORE, sketched({**columns(99), **changed})).broken


def test_a_window_like_those_before_is_sound() -> None:
    assert find_faults(REFERENCE, BEFORE, sketched(columns(99))) == Faults()


@pytest.mark.parametrize("mean", [45.0, 75.0])
def test_a_change_of_season_is_no_fault(mean: float) -> None:
    assert judged(**columns(99, mean=mean)) == ()


def test_a_storm_that_trebles_a_column_is_no_fault() -> None:
    assert judged(fare=columns(99)["fare"] * np.random.default_rng(1).lognormal(1, 0.8, ROWS)) == ()


def test_a_column_that_grows_from_window_to_window_may_grow_some_more() -> None:
    fares = [{"fare": sketch_values(columns(seed)["fare"] * (1 + 0.15 * seed))} for seed in range(9)]
    grown = {"fare": sketch_values(columns(99)["fare"] * 3.2)}
    assert find_faults(fares[0], fares[1:], grown).broken == ()


@pytest.mark.parametrize(
    ("column", "factor", "offset", "said"),
    [
        ("temp", 5 / 9, -160 / 9, "temp looks converted from Fahrenheit to Celsius: "),
        ("temp", 5 / 9, -160 / 9 + 273.15, "temp looks converted from Fahrenheit to Kelvin: "),
        ("temp", 1 / 1.609344, 0, "temp looks converted from kilometres to miles: "),
        ("fare", 100, 0, "fare looks multiplied by 100: it is "),
        ("fare", 1 / 1000, 0, "fare looks divided by 1,000: it is "),
        ("fare", -1, 0, "fare looks given the other sign: it is "),
    ],
)
def test_another_unit_is_named(column: str, factor: float, offset: float, said: str) -> None:
    (fault,) = judged(**{column: columns(99)[column] * factor + offset})
    assert fault.startswith(said)


def test_a_change_of_unit_says_its_numbers() -> None:
    (fault,) = judged(temp=(columns(99)["temp"] - 32) * 5 / 9)
    assert fault == (
        "temp looks converted from Fahrenheit to Celsius: 4% of its values were there before, "
        "100% once it is undone"
    )


def test_missing_values_are_a_fault_beyond_what_the_column_ever_lacked() -> None:
    emptied = columns(99)["temp"].copy()
    emptied[: ROWS // 5] = np.nan
    assert judged(temp=emptied) == (
        "temp is missing in 20% of the rows, in no window before in more than 0%",
    )


def test_a_column_that_often_lacks_values_may_lack_some_more() -> None:
    gust = np.full(ROWS, np.nan)
    gust[: ROWS // 4] = np.random.default_rng(1).normal(20, 5, ROWS // 4)
    assert judged(gust=gust) == ()


def test_a_sensor_that_sticks_for_half_a_window_is_found() -> None:
    stuck = columns(99)["temp"].copy()
    stuck[ROWS // 2 :] = 71.0
    (fault,) = judged(temp=stuck)
    assert fault.startswith("temp is stuck: 71 in 5")


def test_one_legal_category_for_a_whole_window_is_stuck() -> None:
    (fault,) = judged(city=["Rome"] * ROWS)
    assert fault.startswith("city is stuck: 'Rome' in 100% of the rows, while no value was in more than 2")


def test_a_column_that_is_one_value_in_every_window_is_not_stuck() -> None:
    """A weekday, where windows are days."""
    reference = {"weekday": sketch_values(np.arange(ROWS) % 7)}
    before = [{"weekday": sketch_values(np.full(ROWS, float(day)))} for day in range(6)]
    sunday = {"weekday": sketch_values(np.full(ROWS, 6.0))}
    assert find_faults(reference, before, sunday) == Faults()
    assert find_faults(reference, [], sunday) == Faults()


def test_rows_that_were_loaded_twice_are_found() -> None:
    window = columns(99)
    twice: dict[str, Any] = {name: np.tile(window[name], 2) for name in ("temp", "fare", "gust")}
    twice["city"] = [*window["city"], *window["city"]]
    assert judged(**twice) == (
        "every row is there 2 times: so is every value of all 4 columns "
        "(4,000 rows, in a window before at most 2,000)",
    )


def test_a_part_that_was_loaded_twice_shows_in_rows_that_are_alike(tmp_path: Path) -> None:
    def window(seed: int, again: int) -> Sketches:
        rows = pd.DataFrame(columns(seed))
        rows = pd.concat([rows, rows.head(again)])
        with engine(EngineSpec(), tmp_path) as connection:
            connection.register("rows", rows)
            return {**sketched(columns(seed)), ALIKE: alike_rows(connection, "rows", list(REFERENCE))}

    before = [window(seed, seed) for seed in range(1, 5)]
    assert find_faults(REFERENCE, before, window(99, 20)) == Faults()
    assert find_faults(REFERENCE, before, window(99, ROWS // 7)).broken == (
        "25% of the rows are there more than once, in no window before more than 0%",
    )


def test_a_monitored_window_tells_of_a_part_that_was_loaded_twice(tmp_path: Path) -> None:
    week = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 8, tzinfo=UTC))

    def window(seed: int, again: int) -> Mapping[str, Sketch]:
        rows = pd.DataFrame(columns(seed)).assign(
            event_time=week.start, version="1", score=np.arange(ROWS) / ROWS
        )
        rows = pd.concat([rows, rows.head(again).assign(score=0.5)])
        with engine(EngineSpec(), tmp_path) as connection:
            connection.register("predictions", rows)
            wanted = (*REFERENCE, "score")
            return sketch_window(connection, "predictions", wanted, window=week, kinds={}).sketches

    before = [window(seed, seed) for seed in range(1, 5)]
    assert find_faults(REFERENCE, before, window(99, 20)) == Faults()
    assert find_faults(REFERENCE, before, window(99, ROWS // 7)).broken == (
        "25% of the rows are there more than once, in no window before more than 0%",
    )


def test_twice_as_many_rows_of_other_things_are_no_fault() -> None:
    assert find_faults(REFERENCE, BEFORE, sketched(columns(99, rows=2 * ROWS))) == Faults()


def test_more_rows_than_ever_are_a_fault() -> None:
    found = find_faults(REFERENCE, BEFORE, sketched(columns(99, rows=4 * ROWS)))
    assert found.broken == ("there are 8,000 rows, in no window before more than 2,000",)


def test_text_where_numbers_were_and_a_column_gone() -> None:
    window = sketched({**columns(99), "temp": ["n/a", *(["61"] * (ROWS - 1))]})
    del window["fare"]
    assert find_faults(REFERENCE, BEFORE, window).broken == (
        "temp was a number and holds 'n/a'",
        "fare is not among the predictions",
    )


def test_categories_that_were_never_there_are_a_fault_unless_there_are_new_ones_each_time() -> None:
    (fault,) = judged(city=[f"town {number % 5}" for number in range(ROWS)])
    assert fault == (
        "city holds what was never there before in 100% of its values: 'town 0', 'town 1', 'town 2'"
    )
    days = [{"day": sketch_values(np.full(ROWS, float(day)) + np.linspace(0, 0.9, ROWS))} for day in range(9)]
    assert find_faults(days[0], days[1:8], days[8]) == Faults()
    planes = [{"plane": sketch_of([f"{week}-{number % 9}" for number in range(ROWS)])} for week in range(9)]
    assert find_faults(planes[0], planes[1:8], planes[8]) == Faults()


def test_without_windows_before_only_what_is_far_out_is_a_fault() -> None:
    half, fifth = (columns(99)["temp"].copy() for _ in range(2))
    half[: ROWS // 2], fifth[: ROWS // 5] = np.nan, np.nan
    assert find_faults(REFERENCE, [], sketched({**columns(99), "temp": fifth})) == Faults()
    assert find_faults(REFERENCE, [], sketched({**columns(99), "temp": half})).broken == (
        "temp is missing in 50% of the rows, in no window before in more than 0%",
    )


def test_nothing_is_said_of_an_empty_window_or_by_an_empty_reference() -> None:
    empty = sketched({"temp": [], "fare": [], "gust": [], "city": []})
    assert find_faults(REFERENCE, BEFORE, empty) == Faults()
    assert find_faults(empty, [], BEFORE[0]) == Faults()
