"""A published window wakes what depends on it, once per event, with the window as its partition."""

from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session

if TYPE_CHECKING:
    from tests.dags.conftest import RunDag

PUBLISHER = """
    from airflow.sdk import DAG, task
    from keepfit.airflow.assets import announce, dataset_asset

    @task(outlets=[dataset_asset("orders")])
    def publish():
        announce(dataset_asset("orders"), "20240101T000000Z_20240108T000000Z", {"rows": 5})

    with DAG("publisher") as dag:
        publish()
    """
CONSUMERS = ("spending__ingest", "returns__predict")


@pytest.fixture
def publisher(shop: Path) -> Path:
    (shop / "dags" / "publisher.py").write_text(dedent(PUBLISHER))
    return shop


def unpause(*dag_ids: str) -> None:
    with create_session() as session:
        for model in session.query(DagModel).filter(DagModel.dag_id.in_(dag_ids)):
            model.is_paused = False


def schedule() -> None:
    """Do what the scheduler does of all this in each of its loops."""
    with create_session() as session:
        scheduler = SchedulerJobRunner(Job())  # type: ignore[no-untyped-call]
        scheduler._create_dagruns_for_partitioned_asset_dags(session)


def runs_of(dag_id: str, since: set[str]) -> list[DagRun]:
    return [run for run in DagRun.find(dag_id=dag_id) if run.run_id not in since]


def test_each_publication_starts_one_run_of_every_dag_that_depends_on_it(
    publisher: Path, run_dag: "RunDag"
) -> None:
    run_dag(publisher, "publisher")
    unpause(*CONSUMERS)
    schedule()  # what other tests published for DAGs of these names
    before = {dag_id: {run.run_id for run in DagRun.find(dag_id=dag_id)} for dag_id in CONSUMERS}
    for _ in range(2):
        run_dag(publisher, "publisher")
        schedule()
        schedule()
    for dag_id in CONSUMERS:
        keys = [run.partition_key for run in runs_of(dag_id, before[dag_id])]
        assert keys == ["20240101T000000Z_20240108T000000Z"] * 2
