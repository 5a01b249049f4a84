"""Sources that change and stores that are away: told what to do, and the last good state stays."""

import subprocess
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from keepfit.errors import NotReadyError, SchemaError, SourceError
from keepfit.ledger import Deployment, FeatureLedger, Ledger, Publication, migrate
from keepfit.pipeline.ingest import IngestRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.plugins import Access
from keepfit.spec import Window

if TYPE_CHECKING:
    from tests.integration.conftest import Shop

NOWHERE = Access(url=lambda name: name, storage=lambda _: {})
STEPS = ("extract", "check_schema", "validate", "transform", "publish", "materialize")
FIRST, SECOND = Window.parse("2020-06-01", "2020-06-02"), Window.parse("2020-06-02", "2020-06-03")


def ingest(shop: "Shop", window: Window) -> None:
    taken = take_snapshot(
        shop.project, "habits__ingest", window.key, dataset="habits", window=window, settings={}
    )
    for step in STEPS:
        getattr(IngestRun(taken, NOWHERE), step)()


def source(shop: "Shop", day: str, spend: Any, visits: Any = 1) -> None:
    row = {"customer": "ann", "seen_at": shop.at(day), "visits": visits, "spend": spend, "tier": "a"}
    pd.DataFrame([row]).to_parquet(shop.root / "habits.parquet")


def online(shop: "Shop") -> Any:
    return shop.store().online("shopper", [{"customer": "ann", "amount": 5.0}])[0]["spend"]


@pytest.fixture
def served(shop: "Shop") -> "Shop":
    migrate(shop.project.locations.ledger_url)
    source(shop, "1 12:00", 1.5)
    ingest(shop, FIRST)
    return shop


@pytest.mark.parametrize(("spend", "visits"), [("much", 1), (2.5, "many"), (2.5, 1.5)])
def test_a_source_that_changes_type_between_two_windows_is_refused_and_the_last_stays(
    served: "Shop", spend: Any, visits: Any
) -> None:
    version = served.lake.version("habits")
    source(served, "2 12:00", spend, visits)
    with pytest.raises((SourceError, SchemaError), match=r"spend|visits"):
        ingest(served, SECOND)
    assert served.lake.version("habits") == version
    assert online(served) == 1.5
    ledger = Ledger(served.project.locations.ledger_url)
    assert (ledger.covers("habits", FIRST), ledger.covers("habits", SECOND)) == (True, False)


def test_a_registry_that_is_away_is_named_without_its_password(
    shop: "Shop", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEPFIT_FEAST_REGISTRY", "postgresql://feast:secret@127.0.0.1:1/feast")
    with pytest.raises(
        NotReadyError, match=r"registry at postgresql://feast:\*\*\*@.* does not answer"
    ) as told:
        shop.store().register()
    assert "secret" not in str(told.value)


def test_an_online_store_that_is_away_stops_a_materialisation_with_what_to_do(served: "Shop") -> None:
    served.lose_online_store()
    source(served, "2 12:00", 2.5)
    with pytest.raises(
        NotReadyError, match=r"online store \(redis\) does not answer: .* Start it, or correct"
    ):
        ingest(served, SECOND)
    # What was published stays so; the step is tried again when the store is back.
    assert Ledger(served.project.locations.ledger_url).covers("habits", SECOND)
    served.find_online_store()
    ingest(served, SECOND)
    assert online(served) == 2.5


APPLY = """
import sys
from pathlib import Path
from keepfit.errors import NotReadyError
from keepfit.pipeline.applying import DAG_ID, ApplyRun
from keepfit.pipeline.snapshot import take_snapshot
from keepfit.spec import load_project
run = ApplyRun(take_snapshot(load_project(Path(sys.argv[1])), DAG_ID, sys.argv[2], settings={}))
try:
    run.plan()
    run.check()
    for view in run.apply()["views"]:
        run.rematerialize(view)
    run.decide()
except NotReadyError as error:
    print(error)
"""


@pytest.mark.slow
def test_edits_applied_at_once_end_as_one(served: "Shop", warm: list[str]) -> None:
    ledger = Ledger(served.project.locations.ledger_url)
    ledger.record_publication(Publication("orders", FIRST.start, FIRST.end, 1, "d", 0, "r"))
    ledger.record_deployment(Deployment("returns_soon", "champion", None, "1", "me", "first", None, "r"))
    served.edit("features.py", "timedelta(days=2)", "timedelta(days=3)")
    commands = [[*warm, "-c", APPLY, str(served.root), f"run-{number}"] for number in range(3)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    told = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert all(not text or "another edit" in text.lower() for text in told)
    last = FeatureLedger(served.project.locations.ledger_url).last_edit()
    assert last is not None
    assert last.position == 1
    assert len(ledger.decisions("returns_soon")) == 1
    assert served.store().registered()["feature view habits"].properties["ttl"] == "259200s"
    assert online(served) == 1.5
