"""`<model>__train`: from a training set to a champion, or to the reason there is no new one."""

from functools import partial

from airflow.sdk import DAG, CronTriggerTimetable

from keepfit.airflow import tasks
from keepfit.airflow.approval import approve
from keepfit.airflow.assets import champion_asset
from keepfit.airflow.dag import new_dag, pool
from keepfit.airflow.docs import model_doc
from keepfit.airflow.failures import record_failure
from keepfit.airflow.params import train_params
from keepfit.spec import ModelSpec, Project


def train_dag(project: Project, spec: ModelSpec) -> DAG:
    """Build a model's training DAG."""
    calendar = spec.train.calendar
    with new_dag(
        project,
        spec.name,
        "train",
        doc=model_doc(project, spec),
        description=spec.description,
        schedule=CronTriggerTimetable(calendar, timezone="UTC") if calendar else None,
        params=train_params(spec),
        retries=spec.retries,
        timeout=spec.train.timeout,
        on_failure=partial(record_failure, str(project.root)),
    ) as dag:
        started = tasks.snapshot(str(project.root), model=spec.name, windowed=False)
        work = tasks.build_training_set(started)
        trained = tasks.train.override(pool=pool("keepfit_training")).expand(run=work)
        judged = tasks.gate(tasks.evaluate(trained))  # type: ignore[arg-type] # the list of all mapped results
        registered = tasks.register(judged)
        allowed = registered if spec.promotion == "never" else approve(registered)
        deployed = tasks.deploy.override(outlets=[champion_asset(spec.name)])(allowed)
        tasks.verify(deployed)
    return dag
