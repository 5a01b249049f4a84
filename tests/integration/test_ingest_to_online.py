"""An ingest's last step: what was published is what the online store answers with."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from keepfit.ledger import migrate
from keepfit.pipeline.ingest import IngestRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.plugins import Access
from keepfit.spec import Window
from keepfit.steps.materialize import rematerialize

if TYPE_CHECKING:
    from tests.integration.conftest import Shop

NOWHERE = Access(url=lambda name: name, storage=lambda _: {})
STEPS = ("extract", "check_schema", "validate", "transform", "publish", "materialize")


def ingest(
    shop: "Shop", window: Window, steps: tuple[str, ...] = STEPS, run_id: str = "r", **settings: Any
) -> dict[str, Any]:
    snapshot = take_snapshot(
        shop.project,
        "habits__ingest",
        f"{run_id}-{window.key}",
        dataset="habits",
        window=window,
        settings=settings,
    )
    run = IngestRun(snapshot, NOWHERE)
    return {step: getattr(run, step)() for step in steps}


def source(shop: "Shop", *spent: tuple[str, float]) -> None:
    rows = [
        {"customer": "ann", "seen_at": shop.at(day), "visits": 1, "spend": spend, "tier": "a"}
        for day, spend in spent
    ]
    pd.DataFrame(rows).to_parquet(shop.root / "habits.parquet")


def spend(shop: "Shop") -> Any:
    return shop.store().online("shopper", [{"customer": "ann", "amount": 5.0}])[0]["spend"]


def test_what_is_published_is_served_whatever_the_order_of_windows(shop: "Shop") -> None:
    migrate(shop.project.locations.ledger_url)
    source(shop, ("1", 1.0), ("2", 2.0), ("3", 3.0))
    done = ingest(shop, Window.parse("2020-06-02", "2020-06-03"))
    assert done["materialize"]["views"] == ["habits"]
    assert spend(shop) == 2.0
    ingest(shop, Window.parse("2020-06-03", "2020-06-04"))
    assert spend(shop) == 3.0
    ingest(shop, Window.parse("2020-06-01", "2020-06-02"))
    assert spend(shop) == 3.0


def test_a_corrected_window_corrects_what_is_served(shop: "Shop") -> None:
    migrate(shop.project.locations.ledger_url)
    source(shop, ("2", 2.0))
    window = Window.parse("2020-06-01", "2020-06-08")
    ingest(shop, window)
    source(shop, ("2", 20.0))
    ingest(shop, Window.parse("2020-06-02", "2020-06-03"))
    assert spend(shop) == 20.0


def test_a_row_at_the_edge_of_a_window_is_served_though_the_window_before_it_was_not_brought(
    shop: "Shop",
) -> None:
    migrate(shop.project.locations.ledger_url)
    source(shop, ("1", 1.0), ("2 23:30", 2.0))
    ingest(shop, Window.parse("2020-06-01", "2020-06-02"))
    ingest(shop, Window.parse("2020-06-02", "2020-06-03"), STEPS[:-1])
    assert spend(shop) == 1.0
    ingest(shop, Window.parse("2020-06-03", "2020-06-04"))
    assert spend(shop) == 2.0


def test_a_withdrawn_row_is_served_until_the_dataset_is_refreshed_in_full(shop: "Shop") -> None:
    migrate(shop.project.locations.ledger_url)
    source(shop, ("1", 1.0), ("2", 2.0))
    day = Window.parse("2020-06-02", "2020-06-03")
    ingest(shop, Window.parse("2020-06-01", "2020-06-03"))
    source(shop, ("1", 1.0))
    ingest(shop, day)
    assert spend(shop) == 2.0
    ingest(shop, day, run_id="refresh", full_refresh=True)
    assert spend(shop) == 1.0


def test_a_view_brought_online_whole_takes_off_a_withdrawn_row(shop: "Shop") -> None:
    migrate(shop.project.locations.ledger_url)
    source(shop, ("1", 1.0), ("2", 2.0))
    ingest(shop, Window.parse("2020-06-01", "2020-06-03"))
    source(shop, ("1", 1.0))
    ingest(shop, Window.parse("2020-06-02", "2020-06-03"))
    rematerialize(shop.store(), "habits")
    assert spend(shop) == 1.0


def test_a_dropped_row_is_served_no_more(shop: "Shop") -> None:
    migrate(shop.project.locations.ledger_url)
    source(shop, ("1", 1.0), ("2", 2.0))
    ingest(shop, Window.parse("2020-06-01", "2020-06-03"))
    source(shop, ("1", 1.0))
    ingest(shop, Window.parse("2020-06-02", "2020-06-03"), action="drop")
    assert spend(shop) == 1.0


def test_a_snapshot_is_served_up_to_its_newest_row_the_first_time_and_again(shop: "Shop") -> None:
    migrate(shop.project.locations.ledger_url)
    shop.edit("datasets/habits.yaml", "name: habits", "name: habits\nsnapshot: true")
    day = Window.parse("2020-06-01", "2020-06-02")
    for run_id, newest in (("first", 2.0), ("second", 4.0)):
        source(shop, ("1", 1.0), ("3", newest))
        ingest(shop, day, run_id=run_id)
        assert spend(shop) == newest
    source(shop, ("1", 1.0))
    ingest(shop, day, run_id="third")
    assert spend(shop) == 1.0
