"""One run outside Airflow: what it is about, and its progress on the terminal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Literal, Self

import typer

from keepfit.cli import ways
from keepfit.cli.telling import tell
from keepfit.errors import ConfError
from keepfit.pipeline.snapshot import Snapshot, take_snapshot
from keepfit.spec import Project, Window
from keepfit.spec.window import parse_moment

Verb = Literal["ingest", "quarantine", "train", "predict", "monitor", "release", "replay"]

_WAYS: Mapping[Verb, Callable[[Snapshot], ways.Done]] = {
    "ingest": ways.ingest,
    "quarantine": ways.quarantine,
    "train": ways.train,
    "predict": ways.predict,
    "monitor": ways.monitor,
    "release": ways.release,
    "replay": ways.replay,
}
_DEFAULTS: Mapping[Verb, Mapping[str, Any]] = {
    "ingest": {"full_refresh": False, "recompute": False},
    "quarantine": {"action": None, "keys": None, "who": None},
    "train": {"as_of": None, "reason": None, "promotion": None, "decision": None},
    "predict": {"version": None},
    "monitor": {},
    "release": dict.fromkeys(("action", "version", "time", "role", "share", "reason", "who")),
    "replay": dict.fromkeys(("from", "to", "every", "label_delay", "windows", "cost", "split")),
}
_INDENT = " " * 6


@dataclass(frozen=True)
class Job:
    """What to do with which dataset or model."""

    verb: Verb
    name: str
    run_id: str
    window: Window | None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, project: Project, verb: Verb, name: str, window: Window | None, given: Mapping[str, Any]
    ) -> Self:
        """Describe a run.

        Raises:
            ConfError: It would look into the future.
        """
        now = datetime.now(UTC)
        if window:
            window.refuse_future(now)
        settings = {**_DEFAULTS[verb], **given}
        if verb == "train":
            as_of = settings["as_of"] or (window.end.isoformat() if window else None)
            settings["as_of"] = _past(as_of, now) if as_of else None
            settings["promotion"] = settings["promotion"] or project.model(name).promotion
            window = None
        about = f"{window.key}__" if window else ""
        # Each call has a run id of its own, so that it works from the files as they are now.
        return cls(verb, name, f"cli__{about}{now:%Y%m%dT%H%M%S%f}", window, settings)


def do(project: Project, job: Job) -> dict[str, Mapping[str, Any]]:
    """Do the steps in order, tell of each, and return their results by name."""
    snapshot = _snapshot(project, job)
    typer.echo(f"{job.name}: {job.verb}{_about(job, snapshot)} (run {job.run_id})")
    results: dict[str, Mapping[str, Any]] = {}
    began = perf_counter()
    for step, result in _WAYS[job.verb](snapshot):
        ended = perf_counter()
        first, *more = tell(step, result, snapshot)
        typer.echo(f"  {step:<18} {ended - began:7.2f} s  {first}")
        for line in more:
            typer.secho(f"{_INDENT}{line}", fg="yellow" if line.startswith("WARNING") else None)
        began, results[step] = ended, result
    return results


def _about(job: Job, snapshot: Snapshot) -> str:
    if job.window:
        return f" {job.window.key}"
    return f" as of {snapshot.settings['as_of']}" if "as_of" in snapshot.settings else ""


def do_all(project: Project, job: Job) -> None:
    """Do a run, and after it all that it calls for."""
    waiting = [job]
    while waiting:
        each = waiting.pop(0)
        waiting += follow_ups(project, each, do(project, each))


def follow_ups(project: Project, job: Job, results: Mapping[str, Mapping[str, Any]]) -> list[Job]:
    """Return what a run calls for: the training decided on, or the windows to compute again."""
    training = _training(project, job, results.get("decide", {}))
    again = results.get("outdated", {}).get("windows", ())
    return [*([training] if training else []), *(_recomputation(project, each) for each in again)]


def _recomputation(project: Project, outdated: Mapping[str, str]) -> Job:
    window = Window.of_key(outdated["window"])
    return Job.of(project, "ingest", outdated["dataset"], window, {"recompute": True})


def _training(project: Project, job: Job, decision: Mapping[str, Any]) -> Job | None:
    """Return the training a monitoring has decided on, unless it is done."""
    run_id = decision.get("run_id")
    if run_id is None:
        return None
    from keepfit.ledger import Ledger

    done = Ledger(project.locations.ledger_url).trainings(job.name)
    if any(training.run_id == run_id and training.verdict != "error" for training in done):
        typer.echo(f"The training that this asks for is done already (run {run_id}).")
        return None
    return decided(project, job.name, run_id, decision["conf"])


def decided(project: Project, model: str, run_id: str, conf: Mapping[str, Any]) -> Job:
    """Return the training that a decision asks for, by the decision's run id.

    One that failed came to no verdict: it is done again, from the snapshot it began with.
    """
    settings = {**_DEFAULTS["train"], "promotion": project.model(model).promotion, **conf}
    return Job("train", model, run_id, None, settings)


def _snapshot(project: Project, job: Job) -> Snapshot:
    from keepfit.pipeline.as_of import with_as_of

    model = None if job.verb in ("ingest", "quarantine") else job.name
    return take_snapshot(
        project,
        f"{job.name}__{job.verb}",
        job.run_id,
        model=model,
        dataset=None if model else job.name,
        window=job.window,
        settings=with_as_of(job.settings, project, model),
    )


def _past(text: str, now: datetime) -> str:
    moment = parse_moment(text, "--as-of")
    if moment > now:
        raise ConfError(
            f"--as-of is {text}, which is in the future (it is {now.isoformat()}): "
            "labels are not known then. Choose a moment that has passed."
        )
    return moment.isoformat()
