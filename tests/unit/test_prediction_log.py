"""The prediction log: nothing waits for the disk, nothing is torn, and little is lost whatever happens."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from keepfit.backends.engine import engine
from keepfit.backends.log_compaction import Compacted, compact, each_once, logged_days
from keepfit.backends.prediction_log import Entry, PredictionLog
from keepfit.errors import FeatureStoreError
from keepfit.spec.project import EngineSpec

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
FEATURES = {"visits": "int64", "city": "string"}
KEYS = {"customer": "string", "order_id": "int64"}


def entry(number: int, at: datetime = NOON, **other: Any) -> Entry:
    given: dict[str, Any] = {
        "request_id": f"r{number}",
        "at": at,
        "version": "3",
        "role": "champion",
        "key": {"customer": f"c{number}", "order_id": number},
        "features": (number, "Ulm"),
        "score": number / 1000,
    }
    return Entry(**given | other)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Callable[..., PredictionLog]]:
    opened: list[PredictionLog] = []

    def open_log(**settings: Any) -> PredictionLog:
        given: dict[str, Any] = {"features": FEATURES, "keys": KEYS, "seconds": 0.02} | settings
        opened.append(PredictionLog(str(tmp_path), "churn", **given))
        return opened[-1]

    yield open_log
    for each in opened:
        each.close()


def files(place: Path) -> list[Path]:
    return sorted(place.glob("online__churn/date=*/*.parquet"))


def everything(place: Path) -> list[str]:
    return sorted(name for _, _, names in os.walk(place) for name in names if not name.endswith(".lock"))


def rows(place: Path) -> list[dict[str, Any]]:
    """Read as the documentation says: each row of the log once."""
    found = [str(each) for each in files(place)]
    if not found:
        return []
    with engine(EngineSpec(), place / "scratch") as connection:
        read = connection.execute(f"{each_once(found)} ORDER BY order_id").to_arrow_table().to_pylist()
    return list(read)


def numbers(place: Path) -> list[int]:
    return [row["order_id"] for row in rows(place)]


def wait_until(holds: Callable[[], bool], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.005)


def compacted(place: Path) -> Compacted:
    return compact(str(place), "churn", NOON.date(), bounds=EngineSpec(), scratch=place / "scratch")


def test_a_row_holds_what_was_asked_used_and_answered(
    logs: Callable[..., PredictionLog], tmp_path: Path
) -> None:
    log = logs()
    log.append(entry(7, event_time=NOON - timedelta(days=1), row=2, role="shadow"))
    log.append(entry(8, key={"customer": "c8"}, features=(float("nan"), None)))
    log.close()
    first, second = (pq.read_table(files(tmp_path)[0], partitioning=None).sort_by("request_id")).to_pylist()
    assert len({first.pop("log_id"), second.pop("log_id")}) == 2
    assert first == {
        "customer": "c7",
        "order_id": 7,
        "event_time": NOON - timedelta(days=1),
        "visits": 7.0,
        "city": "Ulm",
        "score": 0.007,
        "version": "3",
        "role": "shadow",
        "asked_at": NOON,
        "request_id": "r7",
        "request_row": 2,
    }
    assert (second["order_id"], second["event_time"], second["visits"], second["city"]) == (
        None,
        NOON,
        None,
        None,
    )


def test_rows_are_written_after_a_while_without_being_asked(
    logs: Callable[..., PredictionLog], tmp_path: Path
) -> None:
    log = logs()
    log.append(entry(1))
    wait_until(lambda: numbers(tmp_path) == [1])
    wait_until(lambda: log.pending == 0)
    assert (log.lost, log.oldest_pending_at, log.problem) == (0, None, None)


def test_many_rows_do_not_wait(logs: Callable[..., PredictionLog], tmp_path: Path) -> None:
    log = logs(seconds=600, rows=10)
    for number in range(9):
        log.append(entry(number, at=NOON + timedelta(seconds=number)))
    assert (log.pending, log.oldest_pending_at, files(tmp_path)) == (9, NOON, [])
    log.append(entry(9))
    wait_until(lambda: numbers(tmp_path) == [*range(10)])


def test_rows_lie_under_the_day_they_were_asked_on_in_utc(
    logs: Callable[..., PredictionLog], tmp_path: Path
) -> None:
    log, midnight = logs(seconds=600), datetime(2024, 5, 7, tzinfo=UTC)
    log.append(entry(2, at=midnight))
    log.append(entry(1, at=midnight - timedelta(microseconds=1)))
    log.close()
    assert logged_days(str(tmp_path), "churn") == (date(2024, 5, 6), date(2024, 5, 7))
    assert [pq.read_table(each, columns=["order_id"])[0].to_pylist() for each in files(tmp_path)] == [
        [1],
        [2],
    ]


def test_a_value_of_another_kind_is_null_and_holds_nothing_up(
    logs: Callable[..., PredictionLog], tmp_path: Path
) -> None:
    log = logs(seconds=600)
    log.append(entry(1, features=("many", 5)))
    log.append(entry(2))
    log.close()
    assert [(row["visits"], row["city"]) for row in rows(tmp_path)] == [(None, None), (2.0, "Ulm")]


@pytest.mark.parametrize(
    ("kind", "given", "written"),
    [
        ("int64", 4.9, None),
        ("int64", 4.0, 4),
        ("int64", "1", None),
        ("int64", True, None),
        ("int64", 2**63, None),
        ("string", 5, "5"),
        ("string", 5.0, None),
        ("string", True, None),
        ("float64", 2**53 + 1, None),
        ("float64", 4, 4.0),
        ("bool", 1, None),
        ("timestamp", "2024-05-06T14:00:00+02:00", NOON),
        ("timestamp", "2024-05-06T12:00:00", None),
        ("timestamp", 5, None),
        ("date", "2024-05-06", date(2024, 5, 6)),
        ("date", "today", None),
    ],
)
def test_a_key_is_logged_as_the_key_it_is_or_not_at_all(
    logs: Callable[..., PredictionLog], tmp_path: Path, kind: str, given: Any, written: Any
) -> None:
    log = logs(seconds=600, keys={"order_id": kind})
    log.append(entry(1, key={"order_id": given}))
    log.close()
    assert numbers(tmp_path) == [written]
    if written is None:
        with pytest.raises(TypeError, match=r"must be "):
            log.keyed({"order_id": given})
    else:
        assert log.keyed({"order_id": given, "other": 1}) == {"order_id": written}


def test_a_row_with_too_few_features_is_refused_at_once(logs: Callable[..., PredictionLog]) -> None:
    with pytest.raises(ValueError, match=r"1 features for 2 columns\."):
        logs().append(entry(1, features=(1,)))


@pytest.mark.parametrize("name", ["score", "asked_at", "log_id", "request_id", "event_time"])
def test_a_feature_called_like_a_column_of_the_log_is_refused(
    logs: Callable[..., PredictionLog], name: str
) -> None:
    with pytest.raises(FeatureStoreError, match=f"{name} is a column of the predictions themselves"):
        logs(features={name: "float64"})


def test_while_the_disk_is_away_the_newest_rows_are_kept_and_come_when_it_is_back(
    logs: Callable[..., PredictionLog], tmp_path: Path
) -> None:
    away = tmp_path / "online__churn"
    away.write_text("a file where the folder should be")
    log = logs(rows=20, most=50)
    for number in range(120):
        log.append(entry(number, at=NOON + timedelta(seconds=number)))
    wait_until(lambda: log.problem is not None and log.pending == 50)
    wait_until(lambda: log.lost == 70)
    assert "Error" in str(log.problem)
    assert log.oldest_pending_at == NOON + timedelta(seconds=70)
    away.unlink()
    wait_until(lambda: log.pending == 0)
    assert numbers(tmp_path) == [*range(70, 120)]
    assert (log.lost, log.problem) == (70, None)


def test_a_disk_that_fills_leaves_nothing_torn(logs: Callable[..., PredictionLog], tmp_path: Path) -> None:
    log, before = logs(seconds=600, rows=3000), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        for number in range(3000):
            log.append(entry(number))
        wait_until(lambda: log.problem is not None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large" in str(log.problem)
    assert everything(tmp_path) == []
    log.close()
    assert numbers(tmp_path) == [*range(3000)]


class _Overtaken(dict[str, Any]):
    """A key that is asked for while it is written, and then lets another row come."""

    def __init__(self, then: Callable[[], None]) -> None:
        super().__init__(order_id=1)
        self._then: list[Callable[[], None]] = [then]

    def get(self, name: str, default: Any = None) -> Any:
        if self._then:
            self._then.pop()()
        return super().get(name, default)


def test_a_row_that_comes_while_writing_fails_is_kept_behind_those_before_it(
    logs: Callable[..., PredictionLog], tmp_path: Path
) -> None:
    away = tmp_path / "online__churn"
    away.write_text("a file where the folder should be")
    log = logs()
    later = entry(2, at=NOON + timedelta(seconds=1))
    log.append(entry(1, key=_Overtaken(lambda: log.append(later))))
    wait_until(lambda: log.problem is not None and log.pending == 2)
    assert (log.lost, log.oldest_pending_at) == (0, NOON)
    away.unlink()
    log.close()
    assert numbers(tmp_path) == [1, 2]


def test_what_cannot_be_written_at_the_end_is_counted(
    logs: Callable[..., PredictionLog], tmp_path: Path
) -> None:
    (tmp_path / "online__churn").write_text("a file where the folder should be")
    log = logs(seconds=600)
    log.append(entry(1))
    log.close()
    assert (log.lost, log.pending) == (1, 0)


WRITER = """
import sys, time
from datetime import UTC, datetime
from keepfit.backends.prediction_log import Entry, PredictionLog

place, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
log = PredictionLog(place, "churn", features={"visits": "int64", "city": "string"},
                    keys={"customer": "string", "order_id": "int64"}, seconds=0.02, rows=50)
at, number = datetime(2024, 5, 6, 12, tzinfo=UTC), 0
while number < count:
    log.append(Entry(f"{name}-{number}", at, "3", "champion", {"customer": name, "order_id": number},
                     (number, "Ulm"), 0.5))
    number += 1
    while log.pending > 200:
        time.sleep(0.001)
    if log.pending == 0:
        print(number, flush=True)
log.close()
print(number, flush=True)
"""


def writer(place: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(place), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_process_loses_only_what_was_waiting_and_leaves_nothing_torn(tmp_path: Path) -> None:
    for moment in (0.0, 0.013, 0.029):
        place = tmp_path / str(moment)
        with writer(place, "one", 10**9) as process:
            assert process.stdout
            told = [process.stdout.readline() for _ in range(3)]
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
            told += process.stdout.read().splitlines()
        assert process.returncode == -signal.SIGKILL
        there = numbers(place)
        assert there == [*range(len(there))]
        assert len(there) >= int(told[-1]) > 0


def test_processes_write_side_by_side(tmp_path: Path) -> None:
    running = [writer(tmp_path, name, 300) for name in ("one", "two")]
    for process in running:
        with process:
            process.communicate(timeout=300)
    assert numbers(tmp_path) == sorted([*range(300), *range(300)])


def test_a_days_files_become_one_that_holds_each_row_once(
    logs: Callable[..., PredictionLog], tmp_path: Path
) -> None:
    again = entry(0, score=0.1)
    for number in range(3):
        log = logs(seconds=600, features=FEATURES if number < 2 else {"visits": "int64", "spend": "float64"})
        for each in (entry(number + 1), again) if number < 2 else (entry(3, features=(1, 2.5)),):
            log.append(each)
        log.close()
    before = rows(tmp_path)
    assert compacted(tmp_path) == Compacted(3, 1)
    assert rows(tmp_path) == before
    assert [(row["order_id"], row["score"], row["spend"]) for row in before] == [
        (0, 0.1, None),
        (1, 0.001, None),
        (2, 0.002, None),
        (3, 0.003, 2.5),
    ]
    assert "date" not in before[0]
    whole = everything(tmp_path)
    assert compacted(tmp_path) == Compacted(1, 1)
    assert everything(tmp_path) == whole


def test_requests_that_share_an_id_of_the_clients_are_all_kept(
    logs: Callable[..., PredictionLog], tmp_path: Path
) -> None:
    for number in range(3):
        log = logs(seconds=600)
        log.append(entry(number, request_id="one-trace"))
        log.close()
    assert numbers(tmp_path) == [0, 1, 2]
    assert compacted(tmp_path) == Compacted(3, 1)
    assert [(row["order_id"], row["request_id"]) for row in rows(tmp_path)] == [
        (number, "one-trace") for number in range(3)
    ]


def test_a_compaction_that_was_killed_doubles_and_loses_nothing(
    logs: Callable[..., PredictionLog], tmp_path: Path
) -> None:
    for number in range(3):
        log = logs(seconds=600)
        log.append(entry(number))
        log.close()
    small = {each: each.read_bytes() for each in files(tmp_path)}
    compacted(tmp_path)
    for each, content in small.items():  # as if it had been killed before it removed them
        each.write_bytes(content)
    left = files(tmp_path)[0].with_name(".one.0.part")
    left.write_bytes(b"PAR1")
    assert numbers(tmp_path) == [0, 1, 2]
    assert compacted(tmp_path) == Compacted(4, 1)
    assert numbers(tmp_path) == [0, 1, 2]
    assert left.exists()  # young enough to be somebody's who is still at it
    os.utime(left, (0, 0))
    compacted(tmp_path)
    assert not left.exists()


def test_a_day_without_files_is_let_be(tmp_path: Path) -> None:
    assert compacted(tmp_path) == Compacted(0, 0)
    assert everything(tmp_path) == []
