"""The DAG that releases and goes back: its shape, its form, and who is recorded."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import ParamValidationError

from keepfit.airflow import project_dags
from keepfit.airflow.conf import triggered_by
from keepfit.backends.model_registry import ModelRegistry
from keepfit.ledger import Ledger, migrate
from keepfit.spec import load_project

if TYPE_CHECKING:
    from tests.dags.conftest import RunDag


def test_a_release_is_moved_and_then_verified(shop: Path) -> None:
    dag = project_dags(shop)["returns__release"]
    found = {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids}
    assert found == {("snapshot", "release"), ("release", "verify")}
    assert dag.schedule is None
    assert dag.max_active_runs == 1
    assert [each.uri for each in dag.get_task("release").outlets] == ["x-keepfit://models/returns/champion"]


def test_its_form_asks_for_what_where_and_why_and_not_for_who(shop: Path) -> None:
    params = project_dags(shop)["returns__release"].params
    assert set(params) == {"action", "version", "time", "role", "share", "reason"}
    assert params["action"] == "release"


@pytest.mark.parametrize(
    ("conf", "complaint"),
    [
        ({"share": 1}, "1 is greater than or equal to the maximum of 1"),
        ({"share": -0.1}, "-0.1 is less than the minimum of 0"),
        ({"share": "half"}, "'half' is not of type 'null', 'number'"),
        ({"version": "latest"}, "does not match"),
        ({"role": "king"}, "'king' is not one of"),
        ({"action": "promote"}, "'promote' is not one of"),
        ({"time": "yesterday"}, "is not a 'date-time'"),
    ],
)
def test_a_wrong_type_or_range_is_refused_by_airflow(
    shop: Path, conf: dict[str, Any], complaint: str
) -> None:
    params = copy.deepcopy(project_dags(shop)["returns__release"].params)
    with pytest.raises(ParamValidationError, match=complaint):
        params.update(conf)


def test_who_is_whom_airflow_names() -> None:
    assert triggered_by({"dag_run": SimpleNamespace(triggering_user_name="anna")}) == "anna"
    assert triggered_by({"dag_run": SimpleNamespace(triggering_user_name=None)}) == "airflow"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_release_of_what_is_not_there_fails_with_the_reason(shop: Path, run_dag: "RunDag") -> None:
    at = load_project(shop).locations
    migrate(at.ledger_url)
    ModelRegistry(at.tracking_uri, at.artifacts).initialise()
    run = run_dag(shop, "returns__release", {"version": "9", "reason": "a try"})
    assert run.tasks == {"snapshot": "success", "release": "failed", "verify": "upstream_failed"}
    assert "returns has no version 9. There are: none. Nothing was moved." in run.log
    assert Ledger(at.ledger_url).deployments("returns") == []
