"""A trigger that asks for what a DAG does not do starts nothing: Airflow or the first task refuses it."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import ParamValidationError

from keepfit.airflow import project_dags
from keepfit.ledger import migrate
from keepfit.spec import load_project

if TYPE_CHECKING:
    from tests.dags.conftest import Run, RunDag

WINDOW = {"window_start": "2024-01-01T00:00:00Z", "window_end": "2024-01-02T00:00:00Z"}


@pytest.mark.parametrize(
    ("dag_id", "conf", "complaint"),
    [
        ("orders__ingest", {"window_start": "yesterday"}, "'yesterday' is not a 'date-time'"),
        ("orders__ingest", {"full_refresh": "yes"}, "'yes' is not of type 'boolean'"),
        ("returns__train", {"promotion": "always"}, "'always' is not one of"),
        ("returns__train", {"as_of": 3}, "3 is not of type 'null', 'string'"),
        ("returns__train", {"reason": ["drift"]}, "is not of type 'null', 'string'"),
        ("returns__predict", {"version": 3}, "3 is not of type 'null', 'string'"),
        ("returns__predict", {"version": "champion"}, "does not match"),
        ("returns__monitor", {"window_end": "2024-01-01"}, "is not a 'date-time'"),
    ],
)
def test_a_wrong_type_or_range_is_refused_by_airflow(
    shop: Path, dag_id: str, conf: dict[str, Any], complaint: str
) -> None:
    params = copy.deepcopy(project_dags(shop)[dag_id].params)
    with pytest.raises(ParamValidationError, match=complaint):
        params.update(conf)


def test_the_form_promotes_as_the_spec_says(shop: Path) -> None:
    assert project_dags(shop)["returns__train"].params["promotion"] == "auto"


def test_an_unknown_key_is_refused_by_the_first_task_before_anything_is_written(
    shop: Path, run_dag: "RunDag"
) -> None:
    run = run_dag(shop, "returns__predict", {**WINDOW, "verson": "3"})
    assert run.state == "failed"
    assert run.tasks["snapshot"] == "failed"
    assert (
        "conf key 'verson' is not taken by returns__predict. Did you mean 'version'? "
        "It takes: window_start, window_end, version."
    ) in run.log
    assert not (shop / ".keepfit").exists()


def test_a_window_in_the_future_is_refused_before_anything_is_written(shop: Path, run_dag: "RunDag") -> None:
    future = {"window_start": "2124-01-01T00:00:00Z", "window_end": "2124-01-02T00:00:00Z"}
    run = run_dag(shop, "returns__predict", future)
    assert run.state == "failed"
    assert "The window ends at 2124-01-02T00:00:00+00:00, which is in the future" in run.log
    assert not (shop / ".keepfit").exists()


def test_a_refused_trigger_is_not_tried_again(shop: Path, run_dag: "RunDag") -> None:
    run = run_dag(shop, "returns__predict", {"x": 1}, retries=True)
    assert run.tasks["snapshot"] == "failed"
    assert run.log.count("conf key 'x' is not taken") == 1


def test_the_data_interval_is_the_window_of_a_scheduled_ingest(shop: Path, run_dag: "RunDag") -> None:
    noon = datetime(2024, 1, 5, 12, tzinfo=UTC)
    run = run_dag(shop, "orders__ingest", at=noon, only="snapshot")
    assert run.tasks["snapshot"] == "success"
    assert snapshot_of(shop, "orders__ingest", run)["window"] == "20240104T000000Z_20240105T000000Z"


def test_a_training_has_no_window_and_keeps_its_settings(shop: Path, run_dag: "RunDag") -> None:
    migrate(load_project(shop).locations.ledger_url)
    run = run_dag(
        shop, "returns__train", {"as_of": "2024-02-01T00:00:00Z", "reason": "spring"}, only="snapshot"
    )
    stored = snapshot_of(shop, "returns__train", run)
    assert stored["window"] is None
    assert stored["settings"] == {
        "as_of": "2024-02-01T00:00:00Z",
        "reason": "spring",
        "promotion": "auto",
        "decision": None,
    }


def snapshot_of(root: Path, dag_id: str, run: "Run") -> dict[str, Any]:
    (file,) = (root / ".keepfit" / "runs" / dag_id).glob("*/snapshot.json")
    stored: dict[str, Any] = json.loads(file.read_text())
    assert stored["run_id"] == run.run_id
    return stored
