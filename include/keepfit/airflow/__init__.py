"""Airflow: the only package that imports it.

Belongs here: turning specs into DAGs, and public blocks (tasks, sensors, assets) for DAGs of one's own.
Does not belong here: logic of a step. A task unpacks its run, calls the pipeline, hands on the result.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keepfit.airflow import tasks
    from keepfit.airflow.assets import champion_asset, dataset_asset, predictions_asset
    from keepfit.airflow.factory import project_dags
    from keepfit.airflow.sensors import DriftSensor, PublicationSensor

__all__ = [
    "DriftSensor",
    "PublicationSensor",
    "champion_asset",
    "dataset_asset",
    "predictions_asset",
    "project_dags",
    "tasks",
]

_HOMES = {
    "DriftSensor": "sensors",
    "PublicationSensor": "sensors",
    "champion_asset": "assets",
    "dataset_asset": "assets",
    "predictions_asset": "assets",
    "project_dags": "factory",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for: a worker's preload must not build DAGs."""
    if name == "tasks":
        return import_module("keepfit.airflow.tasks")
    if name in _HOMES:
        return getattr(import_module(f"keepfit.airflow.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
