"""The steps of each DAG in their order, done one after the other."""

from collections.abc import Iterator, Mapping
from typing import Any

from keepfit.cli.access import local_access
from keepfit.errors import NotReadyError
from keepfit.pipeline.snapshot import Snapshot

Done = Iterator[tuple[str, Mapping[str, Any]]]
"""Each step's name and result, as soon as it is done."""


def ingest(snapshot: Snapshot) -> Done:
    """Bring a window of a dataset from its source to the lake and the online store."""
    from keepfit.pipeline.ingest import IngestRun

    run = IngestRun(snapshot, local_access(snapshot.locations))
    yield "extract", run.extract()
    yield "check_schema", run.check_schema()
    yield "validate", run.validate()
    yield "transform", run.transform()
    yield "publish", run.publish()
    if snapshot.the_dataset.feature_views:
        yield "materialize", run.materialize()
    yield "outdated", run.outdated(woken=False)


def quarantine(snapshot: Snapshot) -> Done:
    """Rule on a window's rows in quarantine, and publish the window again where that changes it."""
    from keepfit.pipeline.ruling import QuarantineRun

    ruled = QuarantineRun(snapshot).rule()
    yield "rule", ruled
    if ruled["again"]:
        yield from ingest(snapshot)


def train(snapshot: Snapshot) -> Done:
    """Train a challenger, and make it champion if it deserves it."""
    from keepfit.pipeline.training import TrainingRun

    run = TrainingRun(snapshot)
    yield "build_training_set", run.build_training_set()
    for index in range(len(snapshot.the_model.train.candidates)):
        yield "train", run.train(index)
    yield "evaluate", run.evaluate()
    yield "gate", run.gate()
    yield "register", run.register()
    deployed = run.deploy()
    yield "deploy", deployed
    if deployed["skipped"] is None:
        yield "verify", run.verify()


def predict(snapshot: Snapshot) -> Done:
    """Score a window's rows."""
    from keepfit.pipeline.prediction import PredictionRun

    run = PredictionRun(snapshot)
    if missing := run.wait_for():
        raise NotReadyError(
            f"Not published for {snapshot.the_window.key} yet: {', '.join(missing)}. "
            f"{snapshot.the_model.name} needs them. Run `keepfit run {missing[0]} {_bounds(snapshot)}`."
        )
    yield "check_features", run.check_features()
    yield "predict", run.predict()


def monitor(snapshot: Snapshot) -> Done:
    """Hold labels and features against what the champion was trained on, and decide."""
    from keepfit.pipeline.monitoring import MonitorRun
    from keepfit.pipeline.watching import WatchRun

    run = MonitorRun(snapshot, local_access(snapshot.locations))
    if missing := run.wait_for():
        # A decision stands for ever, so none is made before what it needs has come.
        raise NotReadyError(
            f"Not published for {snapshot.the_window.key} yet: {', '.join(missing)}. The monitoring of "
            f"{snapshot.the_model.name} needs them. Run `keepfit run {_maker(missing[0], snapshot)} "
            f"{_bounds(snapshot)}`."
        )
    yield "join_labels", run.join_labels()
    yield "measure", run.measure()
    yield "detect_drift", run.detect_drift()
    if snapshot.the_model.policy.may_need_challenger:
        yield "challenge", run.challenge()
    yield "decide", run.decide()
    yield "draw_drift", run.draw_drift()
    if snapshot.the_model.watch:
        yield "watch", WatchRun(snapshot).watch()


def release(snapshot: Snapshot) -> Done:
    """Move an alias, and see that the servers follow."""
    from keepfit.pipeline.releasing import ReleaseRun

    run = ReleaseRun(snapshot)
    yield "release", run.release(str(snapshot.settings["who"]))
    yield "verify", run.verify()


def _bounds(snapshot: Snapshot) -> str:
    window = snapshot.the_window
    return f"--from {window.start:%Y-%m-%dT%H:%M:%SZ} --to {window.end:%Y-%m-%dT%H:%M:%SZ}"


def _maker(table: str, snapshot: Snapshot) -> str:
    """Say what to run for a table: a model's predictions are made by the model."""
    model = snapshot.the_model.name
    return f"{model} --step predict" if table == f"predictions__{model}" else table


def replay(snapshot: Snapshot) -> Done:
    """Train at every cut of the history, hold each model against each later window, and choose a policy."""
    from keepfit.pipeline.replaying import ReplayRun

    run = ReplayRun(snapshot)
    laid_out = run.lay_out()
    yield "lay_out", laid_out
    for index in range(laid_out["cuts"]):
        yield "train_cut", run.train_cut(index)
    yield "assemble", run.assemble()
    yield "choose", run.choose()
