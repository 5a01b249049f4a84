"""`<dataset>__ingest`: a window of rows, from its source to the lake and the online store."""

from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, PartitionedAssetTimetable

from keepfit.airflow import tasks
from keepfit.airflow.assets import dataset_asset
from keepfit.airflow.dag import new_dag, pool
from keepfit.airflow.docs import dataset_doc
from keepfit.airflow.operators import trigger_runs
from keepfit.airflow.params import ingest_params, quarantine_params
from keepfit.airflow.sensors import DatasetSensor
from keepfit.spec import DatasetSpec, Project


def ingest_dag(project: Project, spec: DatasetSpec) -> DAG:
    """Build a dataset's DAG."""
    with new_dag(
        project,
        spec.name,
        "ingest",
        doc=dataset_doc(project, spec),
        description=spec.description,
        schedule=_schedule(spec),
        params=ingest_params(),
        retries=spec.retries,
        timeout=spec.timeout,
        start=spec.start,
        catchup=spec.catchup,
    ) as dag:
        started = tasks.snapshot(str(project.root), dataset=spec.name)
        _published(spec, tasks.transform(_computed(started) if spec.inputs else _extracted(started)))
    return dag


def quarantine_dag(project: Project, spec: DatasetSpec) -> DAG:
    """Build the DAG that releases or drops rows in quarantine, and publishes their window again."""
    with new_dag(
        project,
        spec.name,
        "quarantine",
        doc=dataset_doc(project, spec),
        description=f"Releases or drops rows of {spec.name} that are in quarantine.",
        schedule=None,
        params=quarantine_params(),
        retries=spec.retries,
        timeout=spec.timeout,
    ) as dag:
        ruled = tasks.rule(tasks.snapshot(str(project.root), dataset=spec.name))
        _published(spec, tasks.transform(tasks.extract(ruled) if spec.inputs else _extracted(ruled)))
    return dag


def _published(spec: DatasetSpec, rows: Any) -> None:
    published = tasks.publish.override(outlets=[dataset_asset(spec.name)])(rows)
    trigger_runs("recompute", tasks.outdated(published))
    if spec.feature_views:
        tasks.materialize.override(pool=pool("keepfit_features"))(published)


def _extracted(started: Any) -> Any:
    return tasks.validate(tasks.check_schema(tasks.extract(started)))


def _computed(started: Any) -> Any:
    """Fix the inputs' versions; the transform validates the rows it computes."""
    return tasks.extract(DatasetSensor(task_id="wait_for_inputs", started=started).output)


def _schedule(spec: DatasetSpec) -> Any:
    if spec.inputs:
        return PartitionedAssetTimetable(assets=dataset_asset(spec.inputs[0]))
    return CronDataIntervalTimetable(spec.schedule, timezone="UTC") if spec.schedule else None
