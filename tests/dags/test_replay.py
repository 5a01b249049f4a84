"""The DAG of a replay, and its form."""

import copy
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import ParamValidationError

from keepfit.airflow import project_dags
from keepfit.ledger import migrate
from keepfit.spec import load_project

if TYPE_CHECKING:
    from tests.dags.conftest import RunDag


def test_a_replay_trains_each_cut_in_a_task_of_its_own_and_chooses_once(shop: Path) -> None:
    dag = project_dags(shop)["returns__replay"]
    order = ("snapshot", "lay_out", "train_cut", "assemble", "choose")
    assert {(task.task_id, each) for task in dag.tasks for each in task.downstream_task_ids} == set(
        pairwise(order)
    )
    assert dag.get_task("train_cut").is_mapped
    assert dag.schedule is None


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("cost", 0), ("cost", -1), ("split", 1), ("every", "weekly"), ("label_delay", "late"), ("from", 7)],
)
def test_the_form_refuses_what_cannot_be(shop: Path, name: str, wrong: Any) -> None:
    params = copy.deepcopy(project_dags(shop)["returns__replay"].params)
    with pytest.raises(ParamValidationError, match=f"Invalid input for param {name}"):
        params[name] = wrong


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_replay_without_a_cost_or_data_says_so(shop: Path, run_dag: "RunDag") -> None:
    migrate(load_project(shop).locations.ledger_url)
    run = run_dag(shop, "returns__replay")
    assert run.tasks["lay_out"] == "failed"
    assert "`cost` is not given: say what one training costs" in run.log
    run = run_dag(shop, "returns__replay", {"cost": 0.01})
    assert run.tasks["lay_out"] == "failed"
    assert "returns cannot be replayed: no window of orders is published." in run.log
