"""What is done when a training has failed for good: the ledger learns why."""

from pathlib import Path
from typing import Any

from keepfit.airflow.conf import run_id_of
from keepfit.airflow.specs import load_locations

_UNKNOWN = (
    "a task ended without an error of its own, as when its process is killed; Airflow's log may know more"
)


def record_failure(root: str, context: Any) -> None:
    """Record a failed training, once; one refused before it began left nothing to record.

    A task calls this with its error. The DAG calls it again, for tasks that could not.
    """
    from keepfit.pipeline.folder import RunFolder
    from keepfit.pipeline.snapshot import SNAPSHOT, open_snapshot
    from keepfit.pipeline.training import TrainingRun

    folder = RunFolder.of(load_locations(Path(root)).runs, context["dag"].dag_id, run_id_of(context))
    if not folder.has(SNAPSHOT):
        return
    error = context.get("exception")
    reason = f"{context['ti'].task_id}: {error}" if error else _UNKNOWN
    TrainingRun(open_snapshot(folder.path)).fail(reason)
