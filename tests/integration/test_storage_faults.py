"""A disk that fills and files that vanish: said plainly, and what was published before stays readable."""

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from keepfit.errors import SourceError, StorageError
from keepfit.ledger import Ledger, migrate
from keepfit.pipeline.ingest import IngestRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.pipeline.training import TrainingRun
from keepfit.plugins import Access
from keepfit.spec import Window

pytestmark = [
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
]
DAY = Window.parse("2020-06-01", "2020-06-02")
STEPS = ("extract", "check_schema", "validate", "transform", "publish")
SMALL = 200_000


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let a write beyond a size fail as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def rows(seed: int, count: int = 40_000) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    seconds = pd.to_timedelta(chance.integers(0, 86_400, count), unit="s")
    return pd.DataFrame(
        {
            "order_id": np.arange(count),
            "customer": [f"c{number}" for number in chance.integers(0, 10**9, count)],
            "ordered_at": pd.Timestamp(DAY.start) + seconds,
            "amount": chance.random(count),
            "returned": chance.integers(0, 2, count),
        }
    )


class Ingests:
    """Ingests of one day of orders, one after the other."""

    def __init__(self, shop: Any, kind: str = "files") -> None:
        self.shop = shop
        migrate(shop.project.locations.ledger_url)
        if kind == "sql":
            source = "{type: sql, connection: warehouse, table: orders}"
            shop.edit("datasets/orders.yaml", "{type: files, path: orders.parquet}", source)

    def fill(self, seed: int) -> None:
        frame = rows(seed)
        frame.to_parquet(self.shop.root / "orders.parquet")
        with closing(sqlite3.connect(self.shop.root / "orders.db")) as database:
            texts = frame.assign(ordered_at=frame["ordered_at"].dt.strftime("%Y-%m-%d %H:%M:%S"))
            texts.to_sql("orders", database, if_exists="replace", index=False)

    def begin(self, run_id: str) -> IngestRun:
        snapshot = take_snapshot(
            self.shop.project, "orders__ingest", run_id, dataset="orders", window=DAY, settings={}
        )
        return IngestRun(snapshot, Access(url=self._url, storage=lambda _: {}))

    def _url(self, _: str) -> str:
        return f"sqlite:///{self.shop.root / 'orders.db'}"

    def amounts(self) -> list[float]:
        found = self.shop.lake.dataset("orders").to_table().to_pandas().sort_values("order_id")
        amounts: list[float] = found["amount"].tolist()
        return amounts


def done(run: IngestRun, steps: tuple[str, ...]) -> None:
    for step in steps:
        getattr(run, step)()


@pytest.mark.parametrize(
    ("step", "kind"),
    [("extract", "files"), ("extract", "sql"), ("transform", "files"), ("publish", "files")],
)
def test_a_disk_that_fills_stops_the_step_and_leaves_what_was_published(
    shop: Any, kind: str, step: str
) -> None:
    ingests = Ingests(shop, kind)
    ingests.fill(1)
    done(ingests.begin("one"), STEPS)
    version = shop.lake.version("orders")
    ingests.fill(2)
    run = ingests.begin("two")
    done(run, STEPS[: STEPS.index(step)])
    with (
        files_no_larger_than(SMALL),
        pytest.raises(StorageError, match=f"^{step}: the disk is full: .*[Ff]ile too large.*Make room"),
    ):
        getattr(run, step)()
    assert shop.lake.version("orders") == version
    assert ingests.amounts() == rows(1)["amount"].tolist()
    assert len(Ledger(shop.project.locations.ledger_url).publications("orders")) == 1
    done(run, STEPS[STEPS.index(step) :])
    assert ingests.amounts() == rows(2)["amount"].tolist()


def test_a_disk_that_fills_stops_a_training_set(shop: Any) -> None:
    shop.publish("orders", rows(1))
    found = rows(1)["customer"].head(50)
    habits = [(name, "1", 1, 100.0, "a") for name in found]
    shop.habits(*habits)
    run = training_of(shop)
    with (
        files_no_larger_than(SMALL),
        pytest.raises(StorageError, match=r"^build_training_set: the disk is full: .*too large"),
    ):
        run.build_training_set()
    assert not run.folder.has("build_training_set")
    assert run.build_training_set()["rows"] == 40_000


def test_a_published_file_that_vanishes_while_it_is_read_is_named(shop: Any) -> None:
    shop.publish("orders", rows(1))
    shop.habits((rows(1)["customer"][0], "1", 1, 100.0, "a"))
    (file,) = shop.lake.files("habits")
    aside = Path(file).rename(shop.root / "aside")
    run = training_of(shop)
    with pytest.raises(
        StorageError, match=f"a file of a published table vanished while it was read: .*{Path(file).name}"
    ):
        run.build_training_set()
    aside.rename(file)
    assert run.build_training_set()["rows"] == 40_000


def training_of(shop: Any) -> TrainingRun:
    settings = {"as_of": "2020-06-08T00:00:00+00:00"}
    migrate(shop.project.locations.ledger_url)
    return TrainingRun(
        take_snapshot(shop.project, "returns_soon__train", "t", model="returns_soon", settings=settings)
    )


def test_a_source_that_vanishes_is_named_and_what_was_published_stays(shop: Any) -> None:
    ingests = Ingests(shop)
    ingests.fill(1)
    done(ingests.begin("one"), STEPS)
    for name in ("a", "b"):
        rows(2).to_parquet(shop.root / f"part-{name}.parquet")
    shop.edit("datasets/orders.yaml", "orders.parquet", "part-*.parquet")
    run = ingests.begin("two")
    (shop.root / "part-b.parquet").write_bytes((shop.root / "part-b.parquet").read_bytes()[:5_000])
    with pytest.raises(SourceError, match=r"Dataset orders: its source cannot be read: .*part-b\.parquet"):
        run.extract()
    assert ingests.amounts() == rows(1)["amount"].tolist()
