"""`<model>__predict`: batch predictions of each window of the entities' dataset."""

from airflow.sdk import DAG, PartitionedAssetTimetable

from keepfit.airflow import tasks
from keepfit.airflow.assets import dataset_asset, predictions_asset
from keepfit.airflow.dag import new_dag
from keepfit.airflow.docs import model_doc
from keepfit.airflow.params import predict_params
from keepfit.airflow.sensors import FeatureSensor
from keepfit.spec import ModelSpec, Project


def predict_dag(project: Project, spec: ModelSpec) -> DAG:
    """Build a model's prediction DAG. A window that waits for its features holds up three others at most."""
    with new_dag(
        project,
        spec.name,
        "predict",
        doc=model_doc(project, spec),
        description=spec.description,
        schedule=PartitionedAssetTimetable(assets=dataset_asset(spec.entities.dataset)),
        params=predict_params(),
        retries=spec.retries,
        timeout=spec.train.timeout,
        max_active_runs=4,
    ) as dag:
        started = tasks.snapshot(str(project.root), model=spec.name)
        ready = FeatureSensor(task_id="wait_for_features", started=started).output
        tasks.predict.override(outlets=[predictions_asset(spec.name)])(tasks.check_features(ready))
    return dag
