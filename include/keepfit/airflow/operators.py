"""The one operator that starts a DAG: a decision of the ledger, turned into its training run."""

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
