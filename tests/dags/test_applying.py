"""An edit of feature_repo/ as Airflow runs it: refused, applied, and followed by its trainings."""

from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from airflow.models.dagrun import DagRun

from keepfit.embedded.prepare import prepare
from keepfit.ledger import Deployment, Ledger, Publication
from keepfit.spec import Window, load_project

if TYPE_CHECKING:
    from tests.dags.conftest import RunDag, WriteProject

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

FEATURES = """
from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field
from feast.types import Float64
from feast.value_type import ValueType
from keepfit.backends.feature_store import published

buyer = Entity(name="buyer", join_keys=["customer"], value_type=ValueType.STRING)
order_facts = FeatureView(
    name="order_facts", entities=[buyer], ttl=timedelta(days=2),
    schema=[Field(name="amount", dtype=Float64)], source=published("orders"),
)
returns = FeatureService(name="returns", features=[order_facts])
"""
STORE = """
project: shop
provider: local
registry: {registry_type: sql, path: "${KEEPFIT_FEAST_REGISTRY}"}
offline_store: {type: keepfit.backends.feature_store.offline.LakeOfflineStore}
online_store: {type: sqlite, path: "${KEEPFIT_FEAST_ONLINE}"}
entity_key_serialization_version: 3
"""
DAY = Window.parse("2024-01-01", "2024-01-02")


@pytest.fixture
def live(shop: Path, write_project: "WriteProject") -> Path:
    write_project({"features.py": FEATURES, "feature_store.yaml": STORE})
    url = load_project(shop).locations.ledger_url
    prepare(load_project(shop))
    ledger = Ledger(url)
    ledger.record_publication(Publication("orders", DAY.start, DAY.end, 1, "d", 0, "r"))
    ledger.record_deployment(Deployment("returns", "champion", None, "1", "test", "first", None, "first"))
    return shop


def trainings() -> int:
    return len(DagRun.find(dag_id="returns__train"))


def test_an_edit_is_applied_and_starts_a_training_and_a_deletion_needs_leave(
    live: Path, write_project: "WriteProject", run_dag: "RunDag"
) -> None:
    first = run_dag(live, "keepfit__apply")
    assert first.state == "success"
    before = trainings()
    write_project({"features.py": FEATURES.replace("days=2", "days=3")})
    edited = run_dag(live, "keepfit__apply")
    assert edited.state == "success"
    assert edited.tasks["rematerialize"] == "success"
    assert edited.tasks["trigger_training"] == "success"
    assert trainings() == before + 1
    more = dedent('\nextra = FeatureService(name="extra", features=[order_facts])\n')
    write_project({"features.py": FEATURES.replace("days=2", "days=3") + more})
    assert run_dag(live, "keepfit__apply").state == "success"
    write_project({"features.py": FEATURES.replace("days=2", "days=3")})
    refused = run_dag(live, "keepfit__apply")
    assert refused.tasks["check"] == "failed"
    assert "This edit removes feature service extra. Nothing is applied." in refused.log
    assert run_dag(live, "keepfit__apply", {"allow_deletions": True}).state == "success"
    assert trainings() == before + 1


def test_the_sweep_looks_at_every_view_and_says_what_is_not_fit(live: Path, run_dag: "RunDag") -> None:
    run_dag(live, "keepfit__apply")
    swept = run_dag(live, "keepfit__sweep")
    assert swept.tasks == {
        "check_features": "success",
        "check_aliases": "failed",
        "find_unstarted": "success",
        "start_training": "skipped",
        "compact_logs": "success",
    }
    assert (
        "The champion of returns is none, but the ledger deployed version 1 last: somebody moved the alias "
        "past keepfit. Keep it so with `keepfit release returns --withdraw --as champion`, or put it back "
        "with `keepfit release returns --version 1`."
    ) in swept.log
    assert "order_facts has no values known by" in swept.log
