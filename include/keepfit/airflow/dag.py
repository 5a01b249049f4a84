"""The outline all DAGs share."""

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow.sdk import DAG, ExceptionRetryPolicy, Param, PartitionedAssetTimetable, RetryAction, RetryRule

from keepfit import errors
from keepfit.spec import Project

Verb = Literal[
    "ingest", "quarantine", "train", "predict", "monitor", "release", "replay", "apply", "sweep", "incident"
]
Pool = Literal["keepfit_features", "keepfit_training"]

_FINAL = (
    errors.ConfError,
    errors.SpecError,
    errors.UnknownPluginError,
    errors.SchemaError,
    errors.ValidationFailedError,
    errors.TransformError,
    errors.EditError,
    errors.TrainingError,
    errors.UntrustedModelError,
    errors.DecisionError,
    errors.DeploymentError,
)
"""What trying again cannot heal."""


def new_dag(
    project: Project,
    name: str,
    verb: Verb,
    *,
    doc: str,
    description: str,
    schedule: Any,
    params: Mapping[str, Param],
    retries: int,
    timeout: timedelta,
    start: datetime | None = None,
    catchup: bool = False,
    max_active_runs: int = 1,
    on_failure: Callable[[Any], None] | None = None,
) -> DAG:
    """Outline a DAG.

    One run at a time unless said otherwise: the runs of one thing build on each other, in order.
    A DAG without a cron of its own is not paused at first: Airflow does not keep the publications that
    would have woken a paused one. Whether one with a cron is, is Airflow's setting.
    """
    waits = schedule is None or isinstance(schedule, PartitionedAssetTimetable)
    return DAG(
        dag_id=f"{name}__{verb}",
        description=description or None,
        doc_md=doc,
        schedule=schedule,
        start_date=start,
        catchup=catchup,
        max_active_runs=max_active_runs,
        is_paused_upon_creation=False if waits else None,
        params=dict(params),
        on_failure_callback=on_failure,
        tags=["keepfit", name, verb],
        default_args={
            "owner": project.spec.project,
            "retries": retries,
            "retry_delay": timedelta(seconds=15),
            "retry_exponential_backoff": 2,
            "max_retry_delay": timedelta(minutes=10),
            "retry_policy": ExceptionRetryPolicy(
                [RetryRule(exception=list(_FINAL), action=RetryAction.FAIL)]
            ),
            "execution_timeout": timeout,
            "on_failure_callback": on_failure,
        },
    )


def pool(name: Pool) -> str:
    """Name a pool where whoever runs Airflow says that keepfit's pools exist.

    A task whose pool does not exist would wait for ever, so elsewhere it is Airflow's default pool.
    """
    return name if os.environ.get("KEEPFIT_POOLS") else "default_pool"
