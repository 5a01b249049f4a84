"""`<model>__release`: move an alias by hand, or go back, and see that the servers follow."""

from airflow.sdk import DAG

from keepfit.airflow import tasks
from keepfit.airflow.assets import champion_asset
from keepfit.airflow.dag import new_dag
from keepfit.airflow.docs import model_doc
from keepfit.airflow.params import release_params
from keepfit.spec import ModelSpec, Project


def release_dag(project: Project, spec: ModelSpec) -> DAG:
    """Build a model's release DAG."""
    with new_dag(
        project,
        spec.name,
        "release",
        doc=model_doc(project, spec),
        description=f"Releases a version of {spec.name}, goes back to one, or takes a role away.",
        schedule=None,
        params=release_params(),
        retries=spec.retries,
        timeout=spec.train.timeout,
    ) as dag:
        started = tasks.snapshot(str(project.root), model=spec.name, windowed=False)
        tasks.verify_release(tasks.release.override(outlets=[champion_asset(spec.name)])(started))
    return dag
