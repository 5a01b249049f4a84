"""A prediction log on S3 (moto's server): written by a server, put together, and met with labels."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer
from tests.integration.serving.conftest import FILES, MODEL, ROW, Shop, until

from keepfit.backends.lake import Lake
from keepfit.errors import SourceError
from keepfit.pipeline.log_upkeep import compact_logs
from keepfit.pipeline.monitoring import MonitorRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.plugins import Access
from keepfit.spec import Window

KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
WINDOW = Window.parse("2024-01-08", "2024-01-09")
ORDERS = [f"2024-01-05T{hour:02}:00:00Z" for hour in range(4)]


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield boto3.client("s3", endpoint_url=f"http://{host}:{port}", **KEYS)
    server.stop()


@pytest.fixture
def away(shop: Shop, s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The shop, whose log lies in a bucket that is not there yet."""
    extra = {"endpoint_url": s3.meta.endpoint_url, "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "testing", "password": "testing", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LOGS", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_HOME", str(shop.home / "airflow"))
    before = FILES["keepfit.yaml"]
    put = "serving: {log_to: s3://logs/live/, log_connection: logs, "
    shop.write("keepfit.yaml", before.replace("serving: {", put))
    yield shop
    shop.write("keepfit.yaml", before)


def known_as_logs(s3: Any) -> Access:
    """Know the connection without Airflow, which takes seconds to import; the server asks Airflow."""
    keys = {"key": "testing", "secret": "testing", "endpoint_url": s3.meta.endpoint_url}
    return Access(str, lambda name: keys if name == "logs" else {})


def files(s3: Any) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket="logs").get("Contents", ())]


def publish_orders(shop: Shop) -> None:
    lake = Lake(shop.project.locations.lake)
    orders = pd.DataFrame({"order_id": range(4), "ordered_at": pd.to_datetime(ORDERS).as_unit("us")})
    file = shop.root / "orders.parquet"
    orders.assign(customer="ann", amount=1.0, returned=[1, 0, 1, 0]).to_parquet(file)
    lake.publish("orders", file, time_column="ordered_at", window=None)
    scored = orders.head(0).rename(columns={"ordered_at": "event_time"})
    scored.assign(score=0.5, version="1", role="champion", run_id="p").to_parquet(file)
    lake.publish(f"predictions__{MODEL}", file, time_column="event_time", window=None)


def test_a_server_logs_to_s3_and_sweep_and_monitor_find_it_there(
    away: Shop, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = known_as_logs(s3)
    away.champion("1")
    away.challenger(None)
    with away.serving() as server:
        for number, at in enumerate(ORDERS):
            row = {"features": ROW, "key": {"order_id": number}, "event_time": at}
            assert server.predict(row).status_code == 200
        # The bucket is missing: who asks is answered, and who watches is told.
        until(lambda: server.served()["problem"], "the problem")
        assert (
            "The prediction log is not written: The prediction log at s3://logs/live/online__returns_soon "
            "cannot be reached: The specified bucket does not exist. Check that the bucket of "
            "`serving.log_to` in feature_repo/keepfit.yaml exists, and that the credentials may list, read, "
            "write and delete there: those of `serving.log_connection`"
        ) in server.served()["problem"]
        assert server.predict().status_code == 200
        assert server.counted("keepfit_log_lag_seconds") > 0
        with pytest.raises(SourceError, match=r"at s3://logs/live/online__\S+ cannot be reached: The spec"):
            compact_logs(away.project, access)
        s3.create_bucket(Bucket="logs")
        until(lambda: files(s3), "the log")
        until(lambda: server.served()["problem"] is None, "its end")
        known = len(files(s3))
        server.predict()
        until(lambda: len(files(s3)) > known, "another file")
        assert server.counted("keepfit_log_lost_rows") == 0

    # Two, where midnight came between.
    days = sorted({each.split("/")[2].removeprefix("date=") for each in files(s3)})
    assert compact_logs(away.project, access) == {MODEL: days}
    assert len(files(s3)) == len(days)
    assert compact_logs(away.project, access) == {}

    monkeypatch.setenv("KEEPFIT_LAKE", str(tmp_path / "lake"))  # the shop's own is for other tests, too
    publish_orders(away)
    taken = take_snapshot(away.project, f"{MODEL}__monitor", "one", model=MODEL, window=WINDOW)
    joined = MonitorRun(taken, access).join_labels()
    assert (joined["predictions"], joined["labelled"], joined["maturity"]) == (4, 4, 1.0)
    assert [(each["role"], each["version"]) for each in joined["roles"]] == [("champion", "1")]
