"""What starts a DAG: a decision its training, and a republished window what was computed from it."""

from collections.abc import Sequence
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException


class TriggerTraining(TriggerDagRunOperator):
    """Start the training that a decision asks for, once, or be skipped with the reason it asks for none.

    The run's id is the decision's own, so a retry, a re-run or a second scheduler finds the run there
    and starts no other.
    """

    template_fields: Sequence[str] = (*TriggerDagRunOperator.template_fields, "decision")

    def __init__(self, *, model: str, decision: Any, **options: Any) -> None:
        """Take the result of the `decide` task as `decision`."""
        super().__init__(
            trigger_dag_id=f"{model}__train",
            logical_date=None,
            skip_when_already_exists=True,
            # It would add keys to the conf, which the training refuses.
            openlineage_inject_parent_info=False,
            **options,
        )
        self.decision = decision

    def execute(self, context: Context) -> None:
        """Start the run, or skip."""
        if self.decision["verdict"] != "retrain":
            raise AirflowSkipException(f"{self.decision['verdict']}: {self.decision['reason']}")
        self.trigger_run_id = self.decision["run_id"]
        self.conf = self.decision["conf"]
        super().execute(context)


def trigger_runs(task_id: str, runs: Any) -> Any:
    """Start each run that a task lists with its DAG, id and conf; one that is there already stays alone.

    Unlike an event of an asset, a run is not lost on a DAG that is paused: it waits.
    """
    return TriggerDagRunOperator.partial(
        task_id=task_id,
        logical_date=None,
        skip_when_already_exists=True,
        openlineage_inject_parent_info=False,
    ).expand_kwargs(runs)
