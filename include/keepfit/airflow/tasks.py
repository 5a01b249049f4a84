"""The public blocks: one task for each step of a run. They unpack, call and hand on; no logic lives here.

A run's tasks hand on its folder and the step's small result; everything else stays in the folder.
The pipeline is imported inside the tasks, since DAG files are parsed through this module.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from keepfit.airflow.assets import announce, dataset_asset, predictions_asset
from keepfit.airflow.conf import Trigger, triggered_by
from keepfit.spec import Window

if TYPE_CHECKING:
    from keepfit.pipeline.ingest import IngestRun
    from keepfit.pipeline.monitoring import MonitorRun
    from keepfit.pipeline.prediction import PredictionRun
    from keepfit.pipeline.releasing import ReleaseRun
    from keepfit.pipeline.replaying import ReplayRun
    from keepfit.pipeline.snapshot import Snapshot
    from keepfit.pipeline.training import TrainingRun

_log = logging.getLogger(__name__)

Handoff = dict[str, Any]
"""A run's folder and the last step's result."""


@task(multiple_outputs=False)
def snapshot(
    root: str, *, dataset: str | None = None, model: str | None = None, windowed: bool = True
) -> Handoff:
    """Check what started the run and fix its specs; every later task reads only this."""
    from keepfit.pipeline.as_of import with_as_of
    from keepfit.pipeline.snapshot import take_snapshot
    from keepfit.spec import load_project

    trigger, now = Trigger.of(get_current_context()), datetime.now(UTC)
    window = trigger.past_window(now) if windowed else None
    settings, project = trigger.settings(now), load_project(Path(root))
    taken = take_snapshot(
        project,
        trigger.dag_id,
        trigger.run_id,
        dataset=dataset,
        model=model,
        window=window,
        settings=with_as_of(settings, project, model),
    )
    return {"folder": str(taken.folder.path), "window": window.key if window else None, **taken.settings}


@task(multiple_outputs=False)
def extract(run: Handoff) -> Handoff:
    """Read the window's rows from the source."""
    result = _ingest(run).extract()
    for age in result.get("snapshots", ()):
        _log.info("%s.", age)
    return _hand_on(run, result)


@task(multiple_outputs=False)
def check_schema(run: Handoff) -> Handoff:
    """Check that the rows have the declared columns and types."""
    return _hand_on(run, _ingest(run).check_schema())


@task(multiple_outputs=False)
def validate(run: Handoff) -> Handoff:
    """Hold the rows against the suite; a critical failure stops the window, and nothing is published."""
    return _hand_on(run, _ingest(run).validate())


@task(multiple_outputs=False)
def transform(run: Handoff) -> Handoff:
    """Compute the published rows by the dataset's SQL."""
    return _hand_on(run, _ingest(run).transform())


@task(multiple_outputs=False)
def publish(run: Handoff) -> Handoff:
    """Replace the window in the lake, and wake what depends on it; a full refresh wakes nothing."""
    result, taken = _ingest(run).publish(), _snapshot(run)
    name = taken.the_dataset.name
    if taken.settings.get("full_refresh"):
        _log.warning("%s is refreshed in full, which wakes nothing. Refresh what is computed from it.", name)
    elif result["wakes"]:
        announce(dataset_asset(name), result["window"], result)
    return _hand_on(run, result)


@task(multiple_outputs=False)
def outdated(run: Handoff) -> list[dict[str, Any]]:
    """Find the windows that were computed from older rows of this one, as a trigger takes them."""
    return [
        {
            "trigger_dag_id": f"{each['dataset']}__ingest",
            "trigger_run_id": each["run_id"],
            "conf": _about(each["window"]) | {"recompute": True},
        }
        for each in _ingest(run).outdated(woken=True)["windows"]
    ]


@task(multiple_outputs=False)
def materialize(run: Handoff) -> Handoff:
    """Bring the window's features into the online store."""
    return _hand_on(run, _ingest(run).materialize())


@task(multiple_outputs=False)
def rule(run: Handoff) -> Handoff:
    """Record what becomes of rows in quarantine; the rest is skipped where nothing is to be published."""
    from keepfit.pipeline.ruling import QuarantineRun

    result = QuarantineRun(_snapshot(run)).rule()
    if not result["again"]:
        raise AirflowSkipException(
            f"{result['rows']} rows are {result['ruling']}; nothing is to be published."
        )
    return _hand_on(run, result)


@task(multiple_outputs=False)
def build_training_set(run: Handoff) -> list[Handoff]:
    """Join labels and features as they were known; hand on one piece of work for each candidate."""
    built = _training(run).build_training_set()
    for warning in built["warnings"]:
        _log.warning("%s", warning)
    candidates = _snapshot(run).the_model.train.candidates
    return [
        _hand_on(run, {"rows": built["rows"], "index": index, "trainer": candidate.trainer})
        for index, candidate in enumerate(candidates)
    ]


@task(multiple_outputs=False, map_index_template="{{ task.op_kwargs['run']['trainer'] }}")
def train(run: Handoff) -> Handoff:
    """Train one candidate."""
    return _hand_on(run, _training(run).train(run["index"]))


@task(multiple_outputs=False)
def evaluate(runs: Sequence[Handoff]) -> Handoff:
    """Score the candidates and the champion on the same holdout."""
    return _hand_on(runs[0], _training(runs[0]).evaluate())


@task(multiple_outputs=False)
def gate(run: Handoff) -> Handoff:
    """Judge the challenger against the champion."""
    return _hand_on(run, _training(run).gate())


@task(multiple_outputs=False)
def register(run: Handoff) -> Handoff:
    """Register the challenger as a version with its model card, whatever the verdict."""
    result, taken = _training(run).register(), _snapshot(run)
    _log.info("The model card: `keepfit card %s %s`.", taken.the_model.name, result["version"])
    return _hand_on(run, result)


@task(multiple_outputs=False)
def deploy(run: Handoff) -> Handoff:
    """Move the champion to the new version; skipped when it stays where it is."""
    result = _training(run).deploy()
    if result["skipped"]:
        raise AirflowSkipException(result["skipped"])
    return _hand_on(run, result)


@task(multiple_outputs=False)
def verify(run: Handoff) -> Handoff:
    """Load the champion back and check that it answers as it did in training."""
    return _hand_on(run, _training(run).verify())


@task(multiple_outputs=False)
def release(run: Handoff) -> Handoff:
    """Move an alias as the run's form says, or go back, and record it."""
    return _hand_on(run, _release(run).release(triggered_by(get_current_context())))


@task(task_id="verify", multiple_outputs=False)
def verify_release(run: Handoff) -> Handoff:
    """Check that the alias, the ledger, the loaded champion and every running server agree."""
    return _hand_on(run, _release(run).verify())


@task(multiple_outputs=False)
def check_features(run: Handoff) -> Handoff:
    """Check that the features are as fresh as promised; stop, or mark what follows, by the model's spec."""
    result = _prediction(run).check_features()
    for reason in result["unfit_features"]:
        _log.warning("%s", reason)
    return _hand_on(run, result)


@task(multiple_outputs=False)
def predict(run: Handoff) -> Handoff:
    """Score the window's rows and publish the predictions; skipped while there is no champion."""
    result, taken = _prediction(run).predict(), _snapshot(run)
    if result["skipped"]:
        raise AirflowSkipException(result["skipped"])
    if result["role"] == "champion":
        announce(predictions_asset(taken.the_model.name), taken.the_window.key, result)
    return _hand_on(run, result)


@task(multiple_outputs=False)
def join_labels(run: Handoff) -> Handoff:
    """Join the predictions whose labels are known by the window's end."""
    return _hand_on(run, _monitor(run).join_labels())


@task(multiple_outputs=False)
def measure(run: Handoff) -> Handoff:
    """Measure the live versions on their labelled predictions."""
    return _hand_on(run, _monitor(run).measure())


@task(multiple_outputs=False)
def detect_drift(run: Handoff) -> Handoff:
    """Hold the window's features and scores against those the champion was trained on."""
    return _hand_on(run, _monitor(run).detect_drift())


@task(multiple_outputs=False)
def challenge(run: Handoff) -> Handoff:
    """Hold a fresh challenger against the champion, where the verdict hangs on it; it is never deployed."""
    return _hand_on(run, _monitor(run).challenge())


@task(multiple_outputs=False)
def draw_drift(run: Handoff) -> Handoff:
    """Draw Evidently's report of the window; no decision hangs on it."""
    return _hand_on(run, _monitor(run).draw_drift())


@task(multiple_outputs=False)
def watch(run: Handoff) -> Handoff:
    """Roll a new champion back if matured labels show that it does harm; skipped when it stays."""
    from keepfit.pipeline.watching import WatchRun

    result = WatchRun(_snapshot(run)).watch()
    if result["rolled_back_to"] is None:
        raise AirflowSkipException(result["reason"])
    return _hand_on(run, result)


@task(multiple_outputs=False)
def decide(run: Handoff) -> Handoff:
    """Decide whether to retrain, and record it with its reason; the first decision on a window stands."""
    return _hand_on(run, _monitor(run).decide())


@task(multiple_outputs=False)
def incidents(decision: Handoff) -> list[dict[str, Any]]:
    """Name the incidents that a window is part of, as a trigger takes them."""
    from keepfit.pipeline.answering import incident_run_id

    return [
        {
            "trigger_dag_id": "keepfit__incident",
            "trigger_run_id": incident_run_id(key),
            "conf": {"incident": key},
        }
        for key in decision["incidents"]
    ]


@task(multiple_outputs=False)
def lay_out(run: Handoff) -> list[Handoff]:
    """Write the history with its features and lay out its windows; hand on one piece of work for each cut."""
    handed = _hand_on(run, laid_out := _replay(run).lay_out())
    return [{"folder": handed["folder"], "index": index} for index in range(laid_out["cuts"])]


@task(multiple_outputs=False)
def train_cut(run: Handoff) -> Handoff:
    """Train at one cut, unless that was done before, and score what follows."""
    return _hand_on(run, _replay(run).train_cut(run["index"]))


@task(multiple_outputs=False)
def assemble(runs: Sequence[Handoff]) -> Handoff:
    """Hold every model against every window from its cut on."""
    return _hand_on(runs[0], _replay(runs[0]).assemble())


@task(multiple_outputs=False)
def choose(run: Handoff) -> Handoff:
    """Choose the policy that would have cost least, and say what to write into the model's file."""
    return _hand_on(run, _replay(run).choose())


def _about(key: str) -> dict[str, Any]:
    window = Window.of_key(key)
    return {"window_start": window.start.isoformat(), "window_end": window.end.isoformat()}


def _snapshot(run: Handoff) -> "Snapshot":
    from keepfit.pipeline.snapshot import open_snapshot

    return open_snapshot(Path(run["folder"]))


def _ingest(run: Handoff) -> "IngestRun":
    from keepfit.airflow.access import airflow_access
    from keepfit.pipeline.ingest import IngestRun

    return IngestRun(_snapshot(run), airflow_access())


def _training(run: Handoff) -> "TrainingRun":
    from keepfit.pipeline.training import TrainingRun

    return TrainingRun(_snapshot(run))


def _release(run: Handoff) -> "ReleaseRun":
    from keepfit.pipeline.releasing import ReleaseRun

    return ReleaseRun(_snapshot(run))


def _prediction(run: Handoff) -> "PredictionRun":
    from keepfit.pipeline.prediction import PredictionRun

    return PredictionRun(_snapshot(run))


def _replay(run: Handoff) -> "ReplayRun":
    from keepfit.pipeline.replaying import ReplayRun

    return ReplayRun(_snapshot(run))


def _monitor(run: Handoff) -> "MonitorRun":
    from keepfit.airflow.access import airflow_access
    from keepfit.pipeline.monitoring import MonitorRun

    return MonitorRun(_snapshot(run), airflow_access())


def _hand_on(run: Handoff, result: Mapping[str, Any]) -> Handoff:
    for line in result.get("told", ()):
        _log.info("%s", line)
    for warning in result.get("warnings", ()):
        _log.warning("%s", warning)
    return {"folder": run["folder"], **result}
