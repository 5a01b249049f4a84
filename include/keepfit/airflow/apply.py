"""`keepfit__apply`: an edit of `feature_repo/`, from its plan to the trainings it asks for."""

from datetime import timedelta

from airflow.sdk import DAG, Param

from keepfit.airflow import feature_tasks as tasks
from keepfit.airflow.dag import new_dag, pool
from keepfit.airflow.operators import TriggerTraining
from keepfit.spec import Project

_DOC = """Applies what was edited under `feature_repo/`. `keepfit plan` shows beforehand what this does.

A broken edit changes nothing. What is removed is deleted only with `allow_deletions`; so is a feature
that a live version needs. A changed
feature view is materialised whole, and the models that use it are trained again."""


def apply_dag(project: Project) -> DAG:
    """Build the project's DAG."""
    allow = Param(False, type="boolean", description="Delete what is no longer in feature_repo/.")
    with new_dag(
        project,
        "keepfit",
        "apply",
        doc=_DOC,
        description="Applies edits of feature_repo/.",
        schedule=None,
        params={"allow_deletions": allow},
        retries=2,
        timeout=timedelta(hours=6),
    ) as dag:
        checked = tasks.check(tasks.plan(str(project.root)))
        work = tasks.apply(checked)
        done = tasks.rematerialize.override(pool=pool("keepfit_features")).expand(run=work)
        asked = tasks.decide_trainings.override(task_id="decide")(checked)
        done >> asked
        TriggerTraining.partial(task_id="trigger_training").expand_kwargs(asked)
    return dag
