"""A small shop: customers with habits that change, and orders that are returned or kept."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepfit.backends.lake import Lake
from keepfit.spec import Project, load_project

if TYPE_CHECKING:
    from keepfit.backends.feature_store import FeatureStore

WARM = Path(__file__).parents[1] / "warm"
ONLINE = """type: keepfit.backends.feature_store.online.sqlite.GuardedSqliteOnlineStore
  path: "${KEEPFIT_FEAST_ONLINE}\""""
FILES = {
    "keepfit.yaml": "project: shop\ndatabase: sqlite\n",
    "feature_store.yaml": """
project: shop
provider: local
registry: {registry_type: sql, path: "${KEEPFIT_FEAST_REGISTRY}"}
offline_store: {type: keepfit.backends.feature_store.offline.LakeOfflineStore}
online_store:
  type: keepfit.backends.feature_store.online.sqlite.GuardedSqliteOnlineStore
  path: "${KEEPFIT_FEAST_ONLINE}"
batch_engine: {type: keepfit.backends.feature_store.online.engine.ColumnComputeEngine}
materialization: {pull_latest_features: true, online_write_batch_size: 10000}
entity_key_serialization_version: 3
""",
    "datasets/habits.yaml": """
name: habits
source: {type: files, path: habits.parquet}
columns: {customer: string, seen_at: timestamp, visits: int64, spend: float64, tier: string}
key: [customer, seen_at]
event_time: seen_at
feature_views: [habits]
""",
    "datasets/orders.yaml": """
name: orders
source: {type: files, path: orders.parquet}
columns: {order_id: int64, customer: string, ordered_at: timestamp, amount: float64, returned: int64}
key: [order_id]
event_time: ordered_at
""",
    "datasets/returns.yaml": """
name: returns
source: {type: files, path: returns.parquet}
columns: {order_id: int64, decided_at: timestamp, came_back: float64}
key: [order_id]
event_time: decided_at
""",
    "features.py": """
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String
from feast.value_type import ValueType
from keepfit.backends.feature_store import published

buyer = Entity(name="buyer", join_keys=["customer"], value_type=ValueType.STRING)
habits = FeatureView(
    name="habits",
    entities=[buyer],
    ttl=timedelta(days=2),
    schema=[
        Field(name="visits", dtype=Int64),
        Field(name="spend", dtype=Float64),
        Field(name="tier", dtype=String),
    ],
    source=published("habits"),
)
order = RequestSource(name="order", schema=[Field(name="amount", dtype=Float64)])


@on_demand_feature_view(sources=[habits, order], schema=[Field(name="share", dtype=Float64)])
def basket(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"share": inputs["amount"] / inputs["spend"]})


shopper = FeatureService(name="shopper", features=[habits, basket])
""",
    "models/returns_soon.yaml": """
name: returns_soon
task: classification
entities: {dataset: orders, columns: [customer, amount]}
features: shopper
label: {column: returned, delay: 3d}
train: {holdout: 2d, candidates: [{trainer: lightgbm}]}
evaluate: {objective: log_loss}
""",
}


@dataclass(frozen=True)
class Shop:
    """A project on disk, and what a test does with it."""

    root: Path

    @property
    def project(self) -> Project:
        return load_project(self.root)

    @property
    def lake(self) -> Lake:
        return Lake(self.project.locations.lake)

    def store(self) -> "FeatureStore":
        from keepfit.backends.feature_store import FeatureStore

        return FeatureStore(self.project)

    @staticmethod
    def at(text: str) -> pd.Timestamp:
        """Read `3 12:30` as the 3rd of June 2020, half past twelve UTC."""
        day, _, time = text.partition(" ")
        return pd.Timestamp(f"2020-06-{int(day):02d}T{time or '00:00'}Z")

    def write(self, file: str, text: str) -> None:
        """Write a file under `feature_repo/`."""
        path = self.root / "feature_repo" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, file: str, old: str, new: str) -> None:
        """Write one of the files as it was first, with one change."""
        assert old in FILES[file]
        self.write(file, FILES[file].replace(old, new))

    def lose_online_store(self) -> None:
        """Name an online store that does not answer."""
        self.edit("feature_store.yaml", ONLINE, 'type: redis\n  connection_string: "127.0.0.1:1"')

    def find_online_store(self) -> None:
        """Name the one there was again."""
        self.write("feature_store.yaml", FILES["feature_store.yaml"])

    def publish(self, table: str, rows: pd.DataFrame) -> None:
        """Publish a whole table."""
        file = self.root / f"{table}.parquet"
        pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), file)
        self.lake.publish(table, file)

    def habits(self, *rows: tuple[str | None, str, int | None, float | None, str | None]) -> None:
        """Publish habits: customer, when seen, visits, spend, tier."""
        frame = pd.DataFrame(rows, columns=["customer", "seen_at", "visits", "spend", "tier"])
        frame["seen_at"] = pd.to_datetime(frame["seen_at"].map(self.at), utc=True)
        types: Mapping[str, str] = {
            "visits": "Int64",
            "spend": "float64",
            "customer": "string",
            "tier": "string",
        }
        self.publish("habits", frame.astype(types))


def new_shop(root: Path, patch: pytest.MonkeyPatch) -> Shop:
    """Write a new project, whose stores are below its root."""
    for variable in ("HOME", "LAKE", "LEDGER_URL", "TRACKING_URI", "FEAST_REGISTRY", "FEAST_ONLINE"):
        patch.delenv(f"KEEPFIT_{variable}", raising=False)
    made = Shop(root)
    for file, text in FILES.items():
        made.write(file, text)
    return made


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return new_shop(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def warm() -> Iterator[list[str]]:
    """The beginning of a command that runs Python in a process which has the libraries imported already.

    To be followed by `-c` or `-m`, as `python` is. It does not show that what is imported suffices.
    """
    with TemporaryDirectory(prefix="keepfit-warm-") as folder:
        path = f"{folder}/socket"
        server = subprocess.Popen(
            [sys.executable, WARM / "server.py", path], stdout=subprocess.PIPE, text=True, cwd=folder
        )
        assert server.stdout is not None
        assert server.stdout.readline() == "warm\n"
        yield [sys.executable, "-SE", str(WARM / "client.py"), path]
        server.kill()
        server.wait()
        server.stdout.close()
