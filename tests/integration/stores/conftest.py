"""Plain Feast repositories that know of keepfit only by the types in their `feature_store.yaml`."""

import os
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import redis
from feast import Entity, FeatureStore, FeatureView, Field, FileSource
from feast.data_format import ParquetFormat
from feast.infra.online_stores import sqlite as feast_sqlite
from feast.repo_config import RepoConfig
from feast.types import Float64, Int64
from feast.value_type import ValueType

Kind = Literal["sqlite", "redis"]
ONLINE = "keepfit.backends.feature_store.online"
GUARDED = {
    "sqlite": f"{ONLINE}.sqlite.GuardedSqliteOnlineStore",
    "redis": f"{ONLINE}.redis.GuardedRedisOnlineStore",
}
ENGINE = {"type": f"{ONLINE}.engine.ColumnComputeEngine"}
OFFLINE = "keepfit.backends.feature_store.offline.LakeOfflineStore"
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - Feast's materialisation takes what has no zone as UTC

DRIVER = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)


@dataclass
class Repo:
    """A Feast repository in a folder with one Parquet file, and what a test does with it."""

    root: Path
    kind: Kind
    port: int
    guarded: bool = True
    engine: bool = True
    created: bool = False
    project: str = "plain"
    fields: dict[str, Any] = field(default_factory=lambda: {"trips": Int64, "rating": Float64})
    entities: tuple[Entity, ...] = (DRIVER,)

    @property
    def config(self) -> RepoConfig:
        self.root.mkdir(parents=True, exist_ok=True)
        where = (
            {"path": str(self.root / "online.db")}
            if self.kind == "sqlite"
            else {"connection_string": f"127.0.0.1:{self.port}"}
        )
        return RepoConfig(
            project=self.project,
            provider="local",
            registry={"registry_type": "sql", "path": f"sqlite:///{self.root}/registry.db"},
            offline_store={"type": OFFLINE if self.engine else "duckdb"},
            online_store={"type": GUARDED[self.kind] if self.guarded else self.kind} | where,
            batch_engine=ENGINE if self.engine else {"type": "local"},
            materialization={"pull_latest_features": True},
            entity_key_serialization_version=3,
        )

    @property
    def view(self) -> FeatureView:
        source = FileSource(
            name="stats",
            path=str(self.root / "stats.parquet"),
            file_format=ParquetFormat(),
            timestamp_field="seen_at",
            created_timestamp_column="written_at" if self.created else "",
        )
        schema = [Field(name=name, dtype=dtype) for name, dtype in self.fields.items()]
        return FeatureView(
            name="stats", entities=list(self.entities), ttl=timedelta(0), schema=schema, source=source
        )

    def apply(self) -> FeatureStore:
        store = FeatureStore(config=self.config)
        store.apply([*self.entities, self.view])
        return store

    def write(self, rows: pd.DataFrame | pa.Table) -> None:
        table = pa.Table.from_pandas(rows, preserve_index=False) if isinstance(rows, pd.DataFrame) else rows
        pq.write_table(table, self.root / "stats.parquet", coerce_timestamps="us")

    def load(self, store: FeatureStore, start: datetime | None = None, end: datetime | None = None) -> None:
        store.materialize(start or EPOCH, end or datetime(2100, 1, 1), feature_views=["stats"])  # noqa: DTZ001

    def served(self, store: FeatureStore, *keys: Any, feature: str = "trips") -> list[Any]:
        rows = [key if isinstance(key, dict) else {"driver_id": key} for key in keys]
        answer = store.get_online_features([f"stats:{feature}"], rows).to_dict()
        return list(answer[feature])

    def stored(self) -> dict[Any, Any]:
        """Return all that the online store holds and that Feast itself would write."""
        if self.kind == "sqlite":
            with sqlite3.connect(self.root / "online.db") as connection:
                rows = connection.execute(
                    "SELECT entity_key, feature_name, value, value_text, event_ts, created_ts "
                    "FROM plain_stats"
                ).fetchall()
            return {(key, name): rest for key, name, *rest in rows}
        client = redis.Redis(port=self.port)
        found: Any = {key: client.hgetall(key) for key in client.scan_iter()}
        for values in found.values():
            values.pop(b"_created:stats", None)
        client.close()
        return dict(found)


def stats(*rows: tuple[int, str, int | None], created: str | None = None) -> pd.DataFrame:
    """Make rows of driver, moment, trips; the rating is a tenth of the trips."""
    frame = pd.DataFrame(rows, columns=["driver_id", "seen_at", "trips"], dtype=object)
    # By way of floats great integers would lose digits.
    frame = frame.astype({"driver_id": "int64", "trips": "Int64"})
    frame["seen_at"] = pd.to_datetime(frame["seen_at"], utc=True, format="ISO8601")
    frame["rating"] = frame["trips"].astype("float64") / 10
    if created:
        frame["written_at"] = pd.Timestamp(created, tz="UTC")
    return frame


@pytest.fixture(autouse=True)
def times_as_feast_tells_sqlite() -> None:
    """Undo what pandas tells SQLite of times, for the whole process, as it writes to it in other tests."""
    sqlite3.register_adapter(datetime, feast_sqlite.adapt_datetime_epoch)
    sqlite3.register_converter("timestamp", feast_sqlite.convert_timestamp)


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run Debian's `redis-server` on a free loopback port, without files.

    Where it is not installed, what needs it is skipped, except in continuous integration.
    """
    if shutil.which("redis-server") is None:
        told = "redis-server is not on this machine: install Debian's package of that name."
        if os.environ.get("KEEPFIT_NEEDS_REDIS"):
            pytest.fail(told)
        pytest.skip(told)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    folder = tmp_path_factory.mktemp("redis")
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) as process:
        client = redis.Redis(port=port)
        for _ in range(2400):
            assert process.poll() is None, "redis-server has ended before it answered"
            with suppress(redis.ConnectionError):
                client.ping()
                break
            time.sleep(0.05)
        yield port
        client.close()
        process.terminate()


@pytest.fixture(params=["sqlite", "redis"])
def repo(request: pytest.FixtureRequest, tmp_path: Path) -> Repo:
    """Return a repository with an empty guarded store."""
    if request.param == "sqlite":
        return Repo(tmp_path / "repo", request.param, 0)
    redis_port: int = request.getfixturevalue("redis_port")
    client = redis.Redis(port=redis_port)
    client.flushall()
    client.close()
    return Repo(tmp_path / "repo", request.param, redis_port)
