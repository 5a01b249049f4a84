"""The lake: windows replaced whole, by as many publishers at once as there are."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepfit.backends.lake import Lake, Publication
from keepfit.errors import NotReadyError, SchemaError
from keepfit.spec import Window

START = datetime(2013, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def days(first: int, last: int) -> Window:
    return Window(START + first * DAY, START + last * DAY)


def rows(path: Path, window: Window, value: float = 1.0, count: int = 4, **more: Sequence[Any]) -> Path:
    step = (window.end - window.start) / count
    table = {
        "key": pa.array([f"k{each}" for each in range(count)]),
        "event_time": pa.array(
            [window.start + each * step for each in range(count)], pa.timestamp("us", "UTC")
        ),
        "value": pa.array([value] * count, pa.float64()),
    }
    pq.write_table(pa.table(table | {name: pa.array(values) for name, values in more.items()}), path)
    return path


def publish(lake: Lake, file: Path, window: Window, **more: Any) -> Publication:
    return lake.publish("trips", file, time_column="event_time", window=window, **more)


def published(lake: Lake) -> list[dict[str, Any]]:
    table: list[dict[str, Any]] = lake.dataset("trips").to_table().sort_by("event_time").to_pylist()
    return table


def test_publishing_a_window_replaces_exactly_its_rows(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    publish(lake, rows(tmp_path / "a", days(0, 4), 1.0), days(0, 4))
    publish(lake, rows(tmp_path / "b", days(1, 3), 2.0), days(1, 3))
    moments = [(row["event_time"] - START, row["value"]) for row in published(lake)]
    half = DAY / 2
    assert moments == [
        (0 * DAY, 1),
        (DAY, 2),
        (DAY + half, 2),
        (2 * DAY, 2),
        (2 * DAY + half, 2),
        (3 * DAY, 1),
    ]


def test_an_empty_window_takes_the_rows_away(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    publish(lake, rows(tmp_path / "a", days(0, 4)), days(0, 4))
    publish(lake, rows(tmp_path / "b", days(0, 4), count=4), days(0, 4))
    empty = pq.read_table(tmp_path / "a").slice(0, 0)
    pq.write_table(empty, tmp_path / "none")
    publication = publish(lake, tmp_path / "none", days(2, 4))
    assert publication.rows == 0
    assert len(published(lake)) == 2


def test_an_empty_first_window_makes_a_table_with_columns(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    pq.write_table(pq.read_table(rows(tmp_path / "a", days(0, 1))).slice(0, 0), tmp_path / "none")
    publish(lake, tmp_path / "none", days(0, 1))
    assert lake.files("trips") == []
    assert lake.columns("trips") == {"key": "string", "event_time": "timestamp", "value": "float64"}


def test_publishing_the_same_rows_again_changes_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    first = publish(lake, rows(tmp_path / "a", days(0, 2)), days(0, 2))
    publish(lake, rows(tmp_path / "b", days(2, 4)), days(2, 4))
    again = publish(lake, rows(tmp_path / "c", days(0, 2)), days(0, 2))
    assert again == first
    assert lake.version("trips") == 1


def test_rows_are_published_again_after_their_window_was_touched(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    publish(lake, rows(tmp_path / "a", days(0, 2), 1.0), days(0, 2))
    publish(lake, rows(tmp_path / "b", days(1, 3), 2.0), days(1, 3))
    again = publish(lake, rows(tmp_path / "a", days(0, 2), 1.0), days(0, 2))
    assert again.version == 2
    assert [row["value"] for row in published(lake)] == [1, 1, 1, 1, 2, 2]


def test_a_whole_table_is_replaced_without_a_window(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.publish("trips", rows(tmp_path / "a", days(0, 4), 1.0), time_column="event_time")
    lake.publish("trips", rows(tmp_path / "b", days(1, 2), 2.0, count=1), time_column="event_time")
    assert [row["value"] for row in published(lake)] == [2.0]


def test_an_old_version_can_still_be_read(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    first = publish(lake, rows(tmp_path / "a", days(0, 2), 1.0), days(0, 2))
    publish(lake, rows(tmp_path / "b", days(0, 2), 2.0), days(0, 2))
    old = lake.dataset("trips", first.version).to_table()
    assert old["value"].to_pylist() == [1.0] * 4
    assert lake.files("trips", first.version) != lake.files("trips")
    assert all(Path(file).exists() for file in lake.files("trips", first.version))


def test_files_are_named_as_they_lie_on_disk(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "a lake, ümlaut")
    publish(lake, rows(tmp_path / "a", days(0, 2)), days(0, 2))
    assert [Path(file).exists() for file in lake.files("trips")] == [True]


def test_a_table_never_published_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        NotReadyError, match=r"Nothing of 'trips' is published in .*lake yet\. Ingest it first\."
    ):
        Lake(tmp_path / "lake").version("trips")


def test_a_column_may_be_added(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    publish(lake, rows(tmp_path / "a", days(0, 2)), days(0, 2))
    publish(lake, rows(tmp_path / "b", days(2, 4), extra=["x"] * 4), days(2, 4))
    assert lake.columns("trips")["extra"] == "string"
    assert [row["extra"] for row in published(lake)] == [None] * 4 + ["x"] * 4


def test_a_column_gone_or_of_another_type_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    publish(lake, rows(tmp_path / "a", days(0, 2), extra=["x"] * 4, size=[1] * 4), days(0, 2))
    with pytest.raises(SchemaError) as refused:
        publish(lake, rows(tmp_path / "b", days(2, 4), size=["big"] * 4), days(2, 4))
    assert str(refused.value) == (
        "Table trips is published with other columns: size was int64 and is string; extra (string) is "
        "gone. Bring them back, or publish the dataset anew with full_refresh, which replaces every "
        "published window; what reads the column must change too."
    )
    assert lake.version("trips") == 0


def test_a_missing_column_is_null_where_that_is_wanted(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    publish(lake, rows(tmp_path / "a", days(0, 2), extra=["x"] * 4), days(0, 2))
    publish(lake, rows(tmp_path / "b", days(2, 4)), days(2, 4), columns="union")
    assert [row["extra"] for row in published(lake)] == ["x"] * 4 + [None] * 4


def test_a_whole_publication_may_bring_other_columns(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    publish(lake, rows(tmp_path / "a", days(0, 2), extra=["x"] * 4), days(0, 2))
    lake.publish("trips", rows(tmp_path / "b", days(0, 2)), time_column="event_time", columns="replace")
    assert list(lake.columns("trips")) == ["key", "event_time", "value"]


def test_rows_outside_the_window_are_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    with pytest.raises(
        SchemaError, match=r"2 of 4 rows for table trips have a event_time outside the window 2013"
    ):
        publish(lake, rows(tmp_path / "a", days(0, 4)), days(0, 2))
    assert not lake.exists("trips")


def test_narrow_and_wide_types_of_two_windows_are_the_same_column(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    table = pq.read_table(rows(tmp_path / "a", days(0, 2), size=[1] * 4, sort=["a"] * 4))
    narrow = table.set_column(3, "size", table["size"].cast(pa.int16()))
    narrow = narrow.set_column(4, "sort", narrow["sort"].dictionary_encode())
    moments = narrow["event_time"].cast(pa.timestamp("ns", "UTC"))
    pq.write_table(narrow.set_column(1, "event_time", moments), tmp_path / "narrow")
    publish(lake, tmp_path / "narrow", days(0, 2))
    publish(lake, rows(tmp_path / "b", days(2, 4), size=[1] * 4, sort=["a"] * 4), days(2, 4))
    assert lake.columns("trips") | {"key": "", "value": ""} == {
        "key": "",
        "event_time": "timestamp",
        "value": "",
        "size": "int64",
        "sort": "string",
    }


def test_a_time_column_behind_many_others_still_tells_files_apart(tmp_path: Path) -> None:
    many: dict[str, Any] = {f"c{each}": [1.0] * 4 for each in range(40)}
    table = pq.read_table(rows(tmp_path / "a", days(0, 2), **many))
    pq.write_table(table.select([*many, "key", "event_time"]), tmp_path / "b")
    lake = Lake(tmp_path / "lake")
    publish(lake, tmp_path / "b", days(0, 2))
    before = lake.files("trips")
    pq.write_table(pq.read_table(tmp_path / "b").slice(0, 0), tmp_path / "none")
    publish(lake, tmp_path / "none", days(2, 4))
    assert before[0] in lake.files("trips")


_PUBLISHER = """
import sys
from pathlib import Path
from keepfit.backends.lake import Lake
from keepfit.spec import Window
lake, file, key, times = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(times)):
    Lake(Path(lake)).publish("trips", Path(file), time_column="event_time", window=Window.of_key(key))
"""


def publisher(lake: Path, file: Path, window: Window, times: int = 1) -> subprocess.Popen[str]:
    """Start a process that is about to publish."""
    command = [sys.executable, "-c", _PUBLISHER, str(lake), str(file), window.key, str(times)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def ended(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.communicate(timeout=300)
        assert process.returncode == 0


@pytest.mark.parametrize("first", [True, False], ids=["as the first", "later"])
def test_two_processes_publishing_one_window_at_once_never_double_a_row(tmp_path: Path, first: bool) -> None:
    lake = Lake(tmp_path / "lake")
    if not first:
        publish(lake, rows(tmp_path / "old", days(-2, 4), 0.0), days(-2, 4))
    files = [rows(tmp_path / f"{value}", days(0, 4), float(value), count=20_000) for value in (1, 2)]
    both = [publisher(lake.root, file, days(0, 4)) for file in files]
    go(*both)
    ended(*both)
    inside = [row["value"] for row in published(lake) if row["event_time"] >= START]
    assert len(inside) == 20_000
    assert len(set(inside)) == 1


def test_processes_publishing_different_windows_at_once_all_land(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    windows = [days(each, each + 1) for each in range(4)]
    all_of_them = [publisher(lake.root, rows(tmp_path / w.key, w, count=100), w) for w in windows]
    go(*all_of_them)
    ended(*all_of_them)
    assert len(published(lake)) == 400
    assert len({row["event_time"] for row in published(lake)}) == 400


def test_overlapping_windows_at_once_leave_no_row_twice(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    windows = [days(0, 3), days(1, 4)]
    files = [rows(tmp_path / w.key, w, float(n), count=3) for n, w in enumerate(windows)]
    both = [publisher(lake.root, file, window, times=5) for file, window in zip(files, windows, strict=True)]
    go(*both)
    ended(*both)
    moments = [row["event_time"] for row in published(lake)]
    assert len(moments) == len(set(moments)) == 4


def test_a_publisher_killed_in_the_middle_leaves_the_old_window_whole(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    publish(lake, rows(tmp_path / "old", days(0, 4), 0.0, count=50_000), days(0, 4))
    file = rows(tmp_path / "new", days(0, 4), 1.0, count=50_000)
    for wait in (0.0, 0.02, 0.05, 0.1, 0.2):
        process = publisher(lake.root, file, days(0, 4), times=1)
        go(process)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=300)
        values = [row["value"] for row in published(lake)]
        assert len(values) == 50_000
        assert len(set(values)) == 1
    ended_well = publish(lake, file, days(0, 4))
    assert ended_well.rows == 50_000
    assert {row["value"] for row in published(lake)} == {1.0}
