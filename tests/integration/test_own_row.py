"""Features that lie in the very row they are asked for: read with the rows, and the same as joined."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from keepfit.backends.engine import engine, scan
from keepfit.spec import Window
from keepfit.spec.project import EngineSpec
from keepfit.steps.entity_rows import InRow, entity_rows

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
WINDOW = Window.parse("2020-06-01", "2020-06-11")
VIEWS = """
from feast.types import Float32, Int32
order_key = Entity(name="order_key", join_keys=["order_id"], value_type=ValueType.INT64)
facts = FeatureView(
    name="facts",
    entities=[order_key],
    ttl=timedelta(hours=1),
    schema=[Field(name="size", dtype=Float32), Field(name="returned", dtype=Int32),
            Field(name="code", dtype=String)],
    source=published("orders"),
)
of_customers = FeatureView(
    name="of_customers", entities=[buyer], schema=[Field(name="size", dtype=Float64)],
    source=published("orders"),
)
facts_only = FeatureService(name="facts_only", features=[facts])
facts_and_more = FeatureService(name="facts_and_more", features=[facts, habits])
by_customer = FeatureService(name="by_customer", features=[of_customers])
"""
ORDERS = """
name: orders
source: {type: files, path: orders.parquet}
columns: {order_id: int64, customer: string, ordered_at: timestamp, amount: float64, returned: int64,
          size: float64, code: string}
key: [order_id]
event_time: ordered_at
"""


@pytest.fixture
def orders(shop: Any) -> Any:
    files = shop.root / "feature_repo"
    shop.write("features.py", (files / "features.py").read_text() + VIEWS)
    shop.write("datasets/orders.yaml", ORDERS)
    shop.edit("models/returns_soon.yaml", "features: shopper", "features: facts_only")
    shop.habits(("c1", "1", 1, 1.0, "gold"))
    chance = np.random.default_rng(1)
    rows = pd.DataFrame(
        {
            "order_id": np.arange(2000),
            "customer": [f"c{number % 7}" for number in range(2000)],
            "ordered_at": shop.at("1") + pd.to_timedelta(chance.integers(0, 12 * 86_400, 2000), unit="s"),
            "amount": chance.random(2000),
            "returned": chance.integers(0, 2, 2000),
            "size": chance.normal(size=2000),
            "code": chance.choice(["a", "b", "ä"], 2000),
        }
    )
    rows.loc[rows.index % 5 == 0, ["size", "code"]] = None
    # The same order again at another time is another row.
    again = rows.head(50).assign(ordered_at=rows["ordered_at"] + pd.Timedelta(minutes=1), code="again")
    shop.publish("orders", pd.concat([rows, again]).sample(frac=1, random_state=1))
    return shop


def batches(shop: Any, features: InRow | None, at_once: int) -> list[Any]:
    spec, dataset = shop.project.model("returns_soon"), shop.project.dataset("orders")
    table = scan(shop.lake.files("orders"))
    with engine(EngineSpec(), shop.root / "scratch") as connection:
        found = entity_rows(
            connection, table, dataset, spec, WINDOW, features=features, sorted_at_once=at_once
        )
        return list(found)


def test_they_are_the_same_as_joined_in_whatever_parts_the_window_is_read(orders: Any) -> None:
    store = orders.store()
    store.register()
    features = store.service("facts_only").features
    given, columns = ("order_id", "customer", "amount"), orders.lake.columns("orders")
    own = store.own_row("facts_only", orders.project.dataset("orders"), given, columns)
    assert own
    asked = pd.concat([batch.to_pandas() for batch in batches(orders, None, 10**9)], ignore_index=True)
    joined = store.historical(asked, "facts_only")
    assert len(joined) > 1500
    for at_once in (10**9, 100):
        parts = batches(orders, InRow(own.columns, own.keys), at_once)
        read = pd.concat([store.own_features(each, own, features) for each in parts], ignore_index=True)
        pd.testing.assert_frame_equal(read, joined)


def test_what_needs_a_join_is_joined(orders: Any) -> None:
    store, dataset = orders.store(), orders.project.dataset("orders")
    store.register()
    columns = orders.lake.columns("orders")
    for service in ("facts_and_more", "by_customer", "shopper"):
        assert store.own_row(service, dataset, ("order_id", "customer", "amount"), columns) is None
    given = ("order_id", "customer", "size")
    assert store.own_row("facts_only", dataset, given, columns) is None, "the name is taken by the row"
    assert store.own_row("facts_only", dataset, ("customer",), columns) is None, "the key is not given"
    assert store.own_row("facts_only", dataset, ("order_id",), ["order_id"]) is None, "not published"
