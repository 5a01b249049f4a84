"""`<model>__monitor`: what the labels and the features say, and whether that asks for a training."""

from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, PartitionedAssetTimetable

from keepfit.airflow import tasks
from keepfit.airflow.assets import champion_asset, predictions_asset
from keepfit.airflow.dag import new_dag
from keepfit.airflow.docs import model_doc
from keepfit.airflow.operators import TriggerTraining, trigger_runs
from keepfit.airflow.params import window_params
from keepfit.airflow.sensors import LabelSensor
from keepfit.spec import ModelSpec, Project


def monitor_dag(project: Project, spec: ModelSpec) -> DAG:
    """Build a model's monitoring DAG."""
    with new_dag(
        project,
        spec.name,
        "monitor",
        doc=model_doc(project, spec),
        description=spec.description,
        schedule=_schedule(spec),
        params=window_params(),
        retries=spec.retries,
        timeout=spec.train.timeout,
    ) as dag:
        started = tasks.snapshot(str(project.root), model=spec.name)
        ready = LabelSensor(task_id="wait_for_labels", started=started).output
        if spec.watch:
            tasks.watch.override(outlets=[champion_asset(spec.name)])(ready)
        drift = tasks.detect_drift(tasks.measure(tasks.join_labels(ready)))
        known = tasks.challenge(drift) if spec.policy.may_need_challenger else drift
        decision = tasks.decide(known)
        TriggerTraining(task_id="trigger_training", model=spec.name, decision=decision)
        trigger_runs("trigger_incident", tasks.incidents(decision))
        tasks.draw_drift(drift)
    return dag


def _schedule(spec: ModelSpec) -> Any:
    if spec.monitor.schedule:
        return CronDataIntervalTimetable(spec.monitor.schedule, timezone="UTC")
    return PartitionedAssetTimetable(assets=predictions_asset(spec.name))
