"""A republished window starts the ingests of what was computed from its older rows, and each only once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from airflow.models.dagrun import DagRun

from keepfit.ledger import Ledger, Publication, migrate
from keepfit.spec import Window, load_project

if TYPE_CHECKING:
    from tests.dags.conftest import RunDag

FIRST, SECOND = Window.parse("2024-01-01", "2024-01-02"), Window.parse("2024-01-02", "2024-01-03")


def conf_of(window: Window) -> dict[str, str]:
    return {"window_start": window.start.isoformat(), "window_end": window.end.isoformat()}


@pytest.fixture
def loaded(shop: Path) -> Path:
    """The shop with orders to ingest, and nothing to materialise."""
    file = shop / "feature_repo" / "datasets" / "orders.yaml"
    file.write_text(file.read_text().replace("feature_views: [order_facts]", ""))
    seen = [datetime(2024, 1, day, 5, tzinfo=UTC) for day in (1, 2)]
    rows = {"order_id": ["a", "b"], "customer": "c", "ordered_at": seen, "amount": 1.0, "returned": False}
    (shop / "data").mkdir()
    pd.DataFrame(rows).to_parquet(shop / "data" / "orders.parquet")
    migrate(load_project(shop).locations.ledger_url)
    return shop


def test_a_republished_window_starts_the_later_ones_of_what_looks_back_to_it(
    loaded: Path, run_dag: "RunDag"
) -> None:
    ledger = Ledger(load_project(loaded).locations.ledger_url)
    for window in (FIRST, SECOND):
        old = Publication("spending", window.start, window.end, 1, "d", 0, f"old-{window.key}")
        ledger.record_publication(old)

    first, again = (run_dag(loaded, "orders__ingest", conf_of(FIRST)) for _ in range(2))
    assert (first.state, again.state) == ("success", "success"), first.log[-3000:]
    assert first.tasks["recompute"] == "success"
    assert again.tasks["recompute"] == "skipped"
    # Its own window is started by the asset's event.
    started = [run for run in DagRun.find(dag_id="spending__ingest") if SECOND.key in run.run_id]
    assert [run.conf for run in started] == [{**conf_of(SECOND), "recompute": True}]


def test_an_ingest_that_nothing_has_read_starts_nothing(loaded: Path, run_dag: "RunDag") -> None:
    before = len(DagRun.find(dag_id="spending__ingest"))
    run = run_dag(loaded, "orders__ingest", conf_of(FIRST))
    assert (run.state, run.tasks["outdated"], run.tasks["recompute"]) == ("success", "success", "skipped")
    assert len(DagRun.find(dag_id="spending__ingest")) == before
