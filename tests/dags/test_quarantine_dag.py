"""The DAG that releases and drops rows in quarantine: its shape, its form, and what it refuses."""

from itertools import pairwise
from pathlib import Path

import pytest

from keepfit.airflow import project_dags

STEPS = ("snapshot", "rule", "extract", "check_schema", "validate", "transform", "publish", "materialize")


@pytest.fixture
def guarded(shop: Path) -> Path:
    spec = shop / "feature_repo" / "datasets" / "orders.yaml"
    spec.write_text(f"{spec.read_text()}\nexpectations: orders\nquarantine: {{max_share: 0.1}}\n")
    suite = shop / "feature_repo" / "expectations" / "orders.yaml"
    suite.parent.mkdir(exist_ok=True)
    suite.write_text("name: orders\nexpectations: []\n")
    return shop


def test_only_a_dataset_with_a_quarantine_has_its_dag(guarded: Path) -> None:
    assert [dag for dag in project_dags(guarded) if dag.endswith("__quarantine")] == ["orders__quarantine"]


def test_a_ruling_is_followed_by_the_ingest_of_its_window(guarded: Path) -> None:
    dag = project_dags(guarded)["orders__quarantine"]
    found = {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids}
    assert found == {*pairwise(STEPS), ("publish", "outdated"), ("outdated", "recompute")}
    assert [asset.uri for asset in dag.get_task("publish").outlets] == ["x-keepfit://datasets/orders"]


def test_its_form_takes_a_window_an_action_and_keys_and_nothing_else(guarded: Path) -> None:
    dag = project_dags(guarded)["orders__quarantine"]
    assert set(dag.params) == {"window_start", "window_end", "action", "keys", "who"}
    assert dag.params.get_param("action").schema["enum"] == ["release", "drop"]
    assert dag.schedule is None
