"""`keepfit__sweep`: looks after what no window looks after."""

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable

from keepfit.airflow import feature_tasks as tasks
from keepfit.airflow.dag import new_dag
from keepfit.airflow.operators import TriggerTraining
from keepfit.spec import Project

_DOC = """Checks each feature view: how old it is against its promise, and on a sample of its entities whether
the online store answers what was published. Predictions stop or are marked by what is found
(`predict.unfit_features`); `keepfit features` shows the same.

Checks each model's aliases in the registry against the ledger's last moves, and what the servers of
`serving.urls` answer with: one that was moved past keepfit, or that a server does not follow, fails the task,
which says what settles it.

Starts the trainings that were decided on and that nobody started, as when a task was killed between the two.
It is by the decision's own run id: one that is there already is skipped.

Puts together the small files of the prediction logs, one for each day."""


def sweep_dag(project: Project) -> DAG:
    """Build the project's DAG."""
    with new_dag(
        project,
        "keepfit",
        "sweep",
        doc=_DOC,
        description="Checks features, online and off, and that aliases are where they were moved.",
        schedule=CronDataIntervalTimetable(project.spec.sweep, timezone="UTC"),
        params={},
        retries=2,
        timeout=timedelta(hours=1),
    ) as dag:
        tasks.check_features(str(project.root))
        tasks.check_aliases(str(project.root))
        unstarted = tasks.find_unstarted(str(project.root))
        TriggerTraining.partial(task_id="start_training").expand_kwargs(unstarted)
        tasks.compact_logs(str(project.root))
    return dag
