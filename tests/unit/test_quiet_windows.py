"""A model's past is cut into windows, broken ones are left out, and the rest is told as a table."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from keepfit.backends.engine import Connection, engine
from keepfit.cli.calibrated import told
from keepfit.errors import ConfError
from keepfit.spec.project import EngineSpec
from keepfit.spec.window import Window
from keepfit.steps.calibrate import calibrate
from keepfit.steps.quiet_windows import Past, cut, read_past

DAY = timedelta(days=1)
SPAN = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 5, tzinfo=UTC))
COLUMNS = ("heat", "place", "score", "gone")
BROKEN = 20


def predictions() -> pd.DataFrame:
    """Return 35 days of 200 rows each: one day in Celsius, and one with three rows only."""
    chance = np.random.default_rng(3)
    days = np.repeat(np.arange(35), 200)
    heat = np.round(chance.normal(60, 10, len(days)))
    rows = pd.DataFrame(
        {
            "id": np.arange(len(days)),
            "event_time": pd.to_datetime(SPAN.start) + pd.to_timedelta(days, "D"),
            "heat": np.where(days == BROKEN, (heat - 32) * 5 / 9, heat),
            "place": chance.choice(["a", "b"], len(days)),
            "score": np.round(chance.random(len(days)), 3),
        }
    )
    kept: pd.DataFrame = rows[(days != BROKEN + 1) | (rows["id"] % 200 < 3)]
    return kept


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with engine(EngineSpec(), tmp_path_factory.mktemp("engine")) as connection:
        connection.register("predictions", predictions())
        yield connection


@pytest.fixture(scope="module")
def past(connection: Connection) -> Past:
    windows = cut(SPAN, DAY)
    blocked = {windows[5].key: "known to be broken"}
    return read_past(
        connection, "predictions", windows, key=["id"], columns=COLUMNS, min_rows=100, blocked=blocked
    )


def test_windows_that_were_broken_or_nearly_empty_are_left_out_with_the_reason(past: Past) -> None:
    days = cut(SPAN, DAY)
    assert len(past.quiet) == 32
    assert set(past.left_out) == {days[5].key, days[BROKEN].key, days[BROKEN + 1].key}
    assert past.left_out[days[5].key] == "known to be broken"
    assert past.left_out[days[BROKEN].key].startswith("heat looks converted from Fahrenheit to Celsius: ")
    assert past.left_out[days[BROKEN + 1].key] == "3 rows of 100 needed"


def test_halves_are_about_as_large_and_the_same_each_time(past: Past) -> None:
    for each in past.quiet:
        one, other = each.halves
        assert set(one) == {"heat", "place", "score"}
        assert one["heat"].rows + other["heat"].rows == 200
        assert 60 < one["heat"].rows < 140
    assert past.quiet[0].halves[0]["heat"].rows == past.quiet[0].halves[0]["score"].rows == 99


def test_a_calibration_is_told_in_two_tables(past: Past) -> None:
    found = calibrate(past.quiet, None, 0.1, {"share": 0.5}).to_json()
    about = {"every": 86400.0, "version": "3", "left_out": dict(past.left_out)}
    lines = "\n".join(told({**found, "about": about})).splitlines()
    assert lines[0] == ("32 quiet windows of 1d, version 3; thresholds for false alarms in 10 % of them")
    assert "left out 20240106T000000Z_20240107T000000Z: known to be broken" in lines
    rows = {line.split()[0]: line for line in lines if line}
    assert rows["COLUMN"].split("  ")[0] == "COLUMN"
    assert rows["COLUMN"].endswith("SEES MEAN  SEES SCALE  SEES MISSING  SEES UNSEEN")
    assert rows["heat"].endswith("-")
    assert " sd " in rows["heat"]
    assert rows["place"].split()[-2:] == ["0.5", "%"]
    assert rows["share"].startswith("share of drifted columns  0.5 ")
    assert "prediction" in rows


def test_too_little_of_a_past_is_said_instead_of_thresholds(past: Past) -> None:
    found = calibrate(past.quiet[:10], None, 0.05).to_json()
    lines = list(told({**found, "about": {"every": 86400.0, "version": "3", "left_out": {}}}))
    assert lines[-2] == (
        "insufficient data: 4 windows to choose from, 19 needed for false alarms in 0.05 of them"
    )
    assert "(--every)" in lines[-1]
    empty = calibrate([], None, 0.05).to_json()
    assert list(told({**empty, "about": {"every": 86400.0, "version": "3", "left_out": {}}}))[-1] == (
        "insufficient data: no column has values in every window"
    )


def test_a_reason_that_left_out_many_windows_is_told_once(past: Past) -> None:
    found = calibrate(past.quiet, None, 0.1).to_json()
    left_out = {"d1": "3 rows of 100 needed", "d2": "broken", "d3": "9 rows of 100 needed", "d4": "broken"}
    lines = told({**found, "about": {"every": 86400.0, "version": "3", "left_out": left_out}})
    assert [line for line in lines if line.startswith("left out")] == [
        "left out 2 windows, d1 to d3: fewer rows than the 100 needed",
        "left out 2 windows, d2 to d4: broken",
    ]


def test_a_stretch_shorter_than_two_windows_is_refused() -> None:
    with pytest.raises(ConfError, match=r"holds 1 windows of 28d: nothing can be held"):
        cut(SPAN, 28 * DAY)
