"""What the benchmarks share: a starter project of its own, its Airflow, its steps in this process."""

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from keepfit.cli import ways
from keepfit.cli.jobs import Job, Verb
from keepfit.cli.new import new
from keepfit.embedded.client import AirflowClient
from keepfit.embedded.supervisor import down, status, up
from keepfit.pipeline.as_of import with_as_of
from keepfit.pipeline.snapshot import Snapshot, take_snapshot
from keepfit.spec import Project, Window

DATASET, MODEL = "orders", "returns"
WEEK = timedelta(days=7)
WAYS: Mapping[Verb, Callable[[Snapshot], ways.Done]] = {
    "ingest": ways.ingest,
    "train": ways.train,
    "predict": ways.predict,
    "monitor": ways.monitor,
}


@dataclass(frozen=True)
class TaskTime:
    """When a task instance ran, and how long nothing of its run had run before."""

    task_id: str
    gap: float | None
    """Seconds since the last task of the run that ended before; None for the first one."""
    duration: float
    map_index: int = -1


def say(what: str) -> None:
    """Tell who waits what is going on; the tables alone go to standard output."""
    print(what, file=sys.stderr, flush=True)


def day(text: str) -> datetime:
    """Read a day as its first moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def weeks(first: datetime, count: int) -> list[Window]:
    """Return so many weeks in a row."""
    return [Window(first + number * WEEK, first + (number + 1) * WEEK) for number in range(count)]


def conf_of(window: Window) -> dict[str, str]:
    """Name a window in a trigger's `conf`."""
    return {"window_start": window.start.isoformat(), "window_end": window.end.isoformat()}


@contextmanager
def starter() -> Iterator[Path]:
    """Make a `keepfit new` project that is gone after the block."""
    with TemporaryDirectory(prefix="keepfit-benchmark-") as folder:
        root = Path(folder) / "shop"
        with redirect_stdout(sys.stderr):
            new(root)
        yield root


@contextmanager
def airflow_of(root: Path, command: Sequence[str] | None = None) -> Iterator[AirflowClient]:
    """Run the embedded profile in the block; a command of one's own may be the supervisor."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        if command is None:
            up(root, on_progress=say)
        else:
            _supervise(root, command)
        now = status(root)
        with AirflowClient(str(now.airflow_url), now.user, now.password) as client:
            yield client
    finally:
        down(root)


def _supervise(root: Path, command: Sequence[str]) -> None:
    process = subprocess.Popen(command, stdout=sys.stderr)
    while (now := status(root)).phase != "up" or now.supervisor is None or now.supervisor.pid != process.pid:
        if process.poll() is not None:
            raise RuntimeError(f"The supervisor ended: {now.problem}")
        time.sleep(0.2)


def succeed(airflow: AirflowClient, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> list[TaskTime]:
    """Do a run to its end and return its tasks in the order of their starts."""
    airflow.unpause(dag_id)
    airflow.trigger(dag_id, run_id, conf)
    if airflow.wait(dag_id, run_id) != "success":
        raise RuntimeError(airflow.failure(dag_id, run_id))
    return task_times(airflow, dag_id, run_id)


def task_times(airflow: AirflowClient, dag_id: str, run_id: str) -> list[TaskTime]:
    """Read when the tasks of a run started and ended; what was skipped is left out."""
    found = airflow.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", {"limit": 100})["task_instances"]
    ran = [each for each in found if each["state"] == "success" and each["start_date"]]
    spans = sorted((moment(each["start_date"]), moment(each["end_date"]), each) for each in ran)
    times = []
    for start, end, each in spans:
        before = [other for _, other, _ in spans if other <= start]
        gap = (start - max(before)).total_seconds() if before else None
        times.append(TaskTime(each["task_id"], gap, (end - start).total_seconds(), each["map_index"]))
    return times


def moment(text: str) -> datetime:
    """Read a moment as the REST API writes it."""
    return datetime.fromisoformat(text)


def done_here(
    project: Project, verb: Verb, window: Window | None, of: str = MODEL, **settings: Any
) -> list[tuple[str, float]]:
    """Do the steps of a DAG, of a model or the dataset, in this process and return each step's seconds."""
    name = DATASET if verb == "ingest" else of
    model = None if verb == "ingest" else name
    job = Job.of(project, verb, name, window, settings)
    snapshot = take_snapshot(
        project,
        f"{name}__{verb}",
        job.run_id,
        model=model,
        dataset=None if model else name,
        window=job.window,
        settings=with_as_of(job.settings, project, model),
    )
    seconds, began = [], time.perf_counter()
    for step, _ in WAYS[verb](snapshot):
        ended = time.perf_counter()
        seconds.append((step, ended - began))
        began = ended
    return seconds
