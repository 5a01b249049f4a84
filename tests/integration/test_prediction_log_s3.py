"""The prediction log on S3, from a real server (moto's), and from one that never answers."""

import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from keepfit.backends.engine import engine, reading
from keepfit.backends.log_compaction import Compacted, compact, each_once, logged_days
from keepfit.backends.log_place import log_place
from keepfit.backends.prediction_log import Entry, PredictionLog
from keepfit.errors import SourceError
from keepfit.spec.project import EngineSpec

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)


def storage(endpoint: str) -> dict[str, Any]:
    return {"key": "test", "secret": "test", "region": "us-east-1", "endpoint_url": endpoint}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=url, **keys).create_bucket(Bucket="lake")
    yield url
    server.stop()


def log_at(place: str, endpoint: str, **settings: Any) -> PredictionLog:
    return PredictionLog(
        place,
        "churn",
        features={"visits": "int64"},
        keys={"id": "int64"},
        storage=partial(storage, endpoint),
        **settings,
    )


def entry(number: int) -> Entry:
    return Entry(f"r{number}", NOON, "3", "champion", {"id": number}, (number,), 0.5)


def numbers(place: str, endpoint: str, scratch: Path) -> list[int]:
    at = log_place(place, "churn", storage(endpoint))
    with engine(EngineSpec(), scratch) as connection, reading(connection, at.system):
        found = connection.execute(f"SELECT id FROM ({each_once(at.files(NOON.date()))}) ORDER BY id")
        return [row[0] for row in found.fetchall()]


def test_rows_on_s3_are_written_read_and_put_together(endpoint: str, tmp_path: Path) -> None:
    place = "s3://lake/live"
    assert logged_days(place, "churn", storage(endpoint)) == ()
    for number in range(3):
        log = log_at(place, endpoint, seconds=600)
        log.append(entry(number))
        log.close()
        assert (log.lost, log.problem) == (0, None)
    assert logged_days(place, "churn", storage(endpoint)) == (NOON.date(),)
    assert numbers(place, endpoint, tmp_path) == [0, 1, 2]
    for before in (3, 1):
        done = compact(
            place,
            "churn",
            NOON.date(),
            bounds=EngineSpec(),
            scratch=tmp_path,
            storage=storage(endpoint),
        )
        assert done == Compacted(before, 1)
        assert numbers(place, endpoint, tmp_path) == [0, 1, 2]


def test_a_missing_bucket_is_told_and_asking_goes_on(endpoint: str) -> None:
    log = log_at("s3://nowhere", endpoint, seconds=0.01)
    log.append(entry(1))
    until = time.monotonic() + 240
    while log.problem is None and time.monotonic() < until:
        time.sleep(0.01)
    assert str(log.problem).startswith(
        "The prediction log at s3://nowhere/online__churn cannot be reached: "
        "The specified bucket does not exist"
    )
    assert log.pending == 1
    log.close()
    assert log.lost == 1


def test_without_credentials_it_says_so_and_goes_on_once_there_are_some(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    known = {"endpoint_url": endpoint}
    log = PredictionLog(
        "s3://lake/late",
        "churn",
        features={"visits": "int64"},
        keys={"id": "int64"},
        seconds=0.01,
        storage=lambda: known,
    )
    log.append(entry(1))
    until = time.monotonic() + 240
    while log.problem is None and time.monotonic() < until:
        time.sleep(0.01)
    assert "cannot be reached: Unable to locate credentials. Check that" in str(log.problem)
    known.update(storage(endpoint))
    log.close()
    assert (log.lost, log.problem) == (0, None)
    assert numbers("s3://lake/late", endpoint, tmp_path) == [1]


def test_a_connection_that_is_missing_is_told_before_anything_is_asked() -> None:
    def storage() -> dict[str, Any]:
        raise SourceError("Airflow has no connection 'logs'.")

    log = PredictionLog("s3://lake", "churn", features={}, keys={}, seconds=600, storage=storage)
    until = time.monotonic() + 240
    while log.problem is None and time.monotonic() < until:
        time.sleep(0.01)
    assert log.problem == "Airflow has no connection 'logs'."
    log.close()


def test_asking_does_not_wait_for_a_place_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        log = log_at("s3://lake", f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=0.001, most=20_000)
        for number in range(10_000):
            log.append(entry(number))
        # The first try, which began meanwhile, has not even failed.
        assert (log.pending, log.lost, log.problem) == (10_000, 0, None)
    log.close(timeout=0.1)
