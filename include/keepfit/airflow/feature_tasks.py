"""Public blocks about the features of a whole project: one task for each step of an edit."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task

from keepfit.airflow.conf import Trigger

if TYPE_CHECKING:
    from keepfit.pipeline.applying import ApplyRun

_SAMPLE = 50
_log = logging.getLogger(__name__)
Handoff = dict[str, Any]
"""A run's folder and the last step's result."""


@task(multiple_outputs=False)
def plan(root: str) -> Handoff:
    """Say what differs from what is applied, and what would be done about it."""
    from keepfit.pipeline.applying import ApplyRun
    from keepfit.pipeline.snapshot import take_snapshot
    from keepfit.spec import load_project

    trigger = Trigger.of(get_current_context())
    taken = take_snapshot(
        load_project(Path(root)), trigger.dag_id, trigger.run_id, settings=dict(trigger.values)
    )
    planned = ApplyRun(taken).plan()
    for line in planned["unfilled"]:
        _log.warning("%s", line)
    return {"folder": str(taken.folder.path), **planned}


@task(multiple_outputs=False)
def check(run: Handoff) -> Handoff:
    """Refuse an edit that is broken, or deletes or stops a live version without leave."""
    checked = _apply_run(run).check()
    for stop in checked["stops"]:
        _log.warning("%s.", stop)
    return {"folder": run["folder"], **checked}


@task(multiple_outputs=False)
def apply(run: Handoff) -> list[Handoff]:
    """Write the edit into Feast's registry; hand on one piece of work for each view that changed."""
    views = _apply_run(run).apply()["views"]
    return [{"folder": run["folder"], "view": view} for view in views]


@task(multiple_outputs=False, map_index_template="{{ task.op_kwargs['run']['view'] }}")
def rematerialize(run: Handoff) -> Handoff:
    """Bring all published values of one view into the online store."""
    return {"folder": run["folder"], **_apply_run(run).rematerialize(run["view"])}


@task(multiple_outputs=False, trigger_rule="none_failed")
def decide_trainings(run: Handoff) -> list[Handoff]:
    """Record the edit, and hand on a decision for each model to train anew."""
    asked = _apply_run(run).decide()
    for each in asked:
        if each["skipped"]:
            _log.info("%s is not trained: %s", each["model"], each["skipped"])
    return [{"model": each["model"], "decision": each["decision"]} for each in asked if each["decision"]]


@task(multiple_outputs=False)
def check_features(root: str) -> Handoff:
    """Check all views: their age at the end of the run's interval, and a sample of what is served of them."""
    from keepfit.pipeline.features import check_all
    from keepfit.spec import load_project

    trigger = Trigger.of(get_current_context())
    at = trigger.interval[1] or datetime.now(UTC)
    fresh, equal = check_all(load_project(Path(root)), at, _SAMPLE, trigger.run_id)
    unfit = [check.reason for check in (*fresh, *equal) if not check.passed]
    for reason in unfit:
        _log.warning("%s", reason)
    return {"unfit_features": unfit}


@task(multiple_outputs=False)
def check_aliases(root: str) -> None:
    """Fail where an alias is not where the ledger says, or a running server answers with something else."""
    from keepfit.errors import DeploymentError
    from keepfit.pipeline.aliases import find_strays, find_unfollowed
    from keepfit.spec import load_project

    Trigger.of(get_current_context())
    project = load_project(Path(root))
    if found := [*find_strays(project, project.models), *find_unfollowed(project)]:
        raise DeploymentError("\n".join(found))


@task(multiple_outputs=False)
def find_unstarted(root: str) -> list[Handoff]:
    """Hand on each decision to train whose run nobody may have started."""
    from keepfit.pipeline.unstarted import find_unstarted
    from keepfit.spec import load_project

    Trigger.of(get_current_context())
    found = find_unstarted(load_project(Path(root)), datetime.now(UTC))
    for each in found:
        _log.info("%s: run %s has left no record", each["model"], each["decision"]["run_id"])
    return found


@task(multiple_outputs=False)
def compact_logs(root: str) -> dict[str, list[str]]:
    """Put together the small files of the prediction logs; return the days of each model that had some."""
    from keepfit.airflow.access import airflow_access
    from keepfit.pipeline.log_upkeep import compact_logs
    from keepfit.spec import load_project

    Trigger.of(get_current_context())
    return compact_logs(load_project(Path(root)), airflow_access())


def _apply_run(run: Handoff) -> "ApplyRun":
    from keepfit.pipeline.applying import ApplyRun
    from keepfit.pipeline.snapshot import open_snapshot

    return ApplyRun(open_snapshot(Path(run["folder"])))
