"""`<model>__replay`: which policy would have paid, by what the model's own history says."""

from airflow.sdk import DAG

from keepfit.airflow import tasks
from keepfit.airflow.dag import new_dag, pool
from keepfit.airflow.docs import model_doc
from keepfit.airflow.params import replay_params
from keepfit.spec import ModelSpec, Project


def replay_dag(project: Project, spec: ModelSpec) -> DAG:
    """Build a model's replay DAG."""
    with new_dag(
        project,
        spec.name,
        "replay",
        doc=model_doc(project, spec),
        description=spec.description,
        schedule=None,
        params=replay_params(),
        retries=spec.retries,
        timeout=spec.train.timeout,
    ) as dag:
        started = tasks.snapshot(str(project.root), model=spec.name, windowed=False)
        work = tasks.lay_out(started)
        trained = tasks.train_cut.override(pool=pool("keepfit_training")).expand(run=work)
        assembled = tasks.assemble(trained)  # type: ignore[arg-type] # the list of all mapped results
        tasks.choose(assembled)
    return dag
