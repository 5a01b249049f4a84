"""Files on S3, from a real server (moto's), by an explicit endpoint and credentials."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from keepfit.backends.sources.files import extract_files
from keepfit.errors import SourceError
from keepfit.plugins import Access, SourceRequest
from keepfit.spec import DatasetSpec, Window

KEYS = {"key": "test", "secret": "test", "region": "us-east-1"}


def client(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=KEYS["region"],
        aws_access_key_id=KEYS["key"],
        aws_secret_access_key=KEYS["secret"],
    )


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    s3 = client(url)
    s3.create_bucket(Bucket="shop")
    for month in (1, 2):
        at = pa.array([datetime(2013, month, 1, tzinfo=UTC)] * 3, pa.timestamp("us", "UTC"))
        sink = pa.BufferOutputStream()
        pq.write_table(
            pa.table({"key": [f"{month}-{n}" for n in range(3)], "at": at, "size": [1, 2, 3]}), sink
        )
        s3.put_object(Bucket="shop", Key=f"trips/{month}.parquet", Body=sink.getvalue().to_pybytes())
    s3.put_object(Bucket="shop", Key="text/a.csv", Body=b"key,at,size\na,2013-01-05,NA\n")
    yield url
    server.stop()


def extracted(endpoint: str, root: Path, path: str, connection: str | None = "s3") -> list[dict[str, Any]]:
    spec = {
        "name": "trips",
        "source": {"type": "files", "path": path, "connection": connection},
        "columns": {"key": "string", "at": "timestamp", "size": "int64"},
        "key": ("key",),
        "event_time": "at",
    }
    access = Access(url=str, storage=lambda name: KEYS | {"endpoint_url": endpoint} if name == "s3" else {})
    window = Window.parse("2013-01-01", "2013-02-01")
    dataset = DatasetSpec.model_validate(spec)
    extract_files(SourceRequest(dataset, window, root / "out", root, access, root / "scratch"))
    rows: list[dict[str, Any]] = pq.read_table(root / "out").to_pylist()
    return rows


def test_a_glob_of_parquet_files_is_read_and_filtered(endpoint: str, tmp_path: Path) -> None:
    rows = extracted(endpoint, tmp_path, "s3://shop/trips/*.parquet")
    assert [row["key"] for row in rows] == ["1-0", "1-1", "1-2"]


def test_csv_is_read_too(endpoint: str, tmp_path: Path) -> None:
    rows = extracted(endpoint, tmp_path, "s3://shop/text/a.csv")
    assert rows == [{"key": "a", "at": datetime(2013, 1, 5, tzinfo=UTC), "size": None}]


def test_a_file_added_later_is_seen_by_the_same_process(endpoint: str, tmp_path: Path) -> None:
    path = "s3://shop/later/*.csv"
    with pytest.raises(SourceError, match=r"Dataset trips: no file matches s3://shop/later/\*\.csv"):
        extracted(endpoint, tmp_path, path)
    for count, name in enumerate("ab", start=1):
        client(endpoint).put_object(
            Bucket="shop", Key=f"later/{name}.csv", Body=b"key,at,size\na,2013-01-05,1\n"
        )
        assert len(extracted(endpoint, tmp_path, path)) == count


def test_a_missing_bucket_is_named(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"s3://nowhere/a\*\.csv cannot be listed: The specified bucket does not exist"
    ):
        extracted(endpoint, tmp_path, "s3://nowhere/a*.csv")


def test_without_s3fs_the_extra_is_named(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)  # what an import finds where it is not installed
    with pytest.raises(
        SourceError, match=r"needs the package s3fs. Install it with: pip install 'keepfit\[aws\]'"
    ):
        extracted(endpoint, tmp_path, "s3://shop/trips/*.parquet")
