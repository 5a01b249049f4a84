"""Trainings lost and doubled by two real Airflow schedulers that are killed, and whose tasks are killed.

`.venv/bin/python benchmarks/schedulers.py [--events N]` (10 minutes) runs the embedded profile on four small
models and a second scheduler on the same PostgreSQL. Events by REST wake `<model>__monitor` and, beside it,
a plain asset-triggered DAG that trains when an event asks for it; both are asked for the same trainings. Some
events come twice, most somewhat out of order, a few long after the others, while schedulers and running tasks
are killed with SIGKILL. At last it is counted what the ledger holds and which runs Airflow has.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

import psutil
from common import airflow_of, conf_of, day, done_here, say, starter

from keepfit.cli.project import open_project, open_stores
from keepfit.embedded.client import AirflowClient
from keepfit.embedded.components import PYTHON
from keepfit.embedded.processes import Started, kill, session_members, start
from keepfit.embedded.status import read_status
from keepfit.ledger import Ledger
from keepfit.pipeline.unstarted import GRACE, find_unstarted
from keepfit.spec import Project, Window

MODELS = tuple(f"m{number}" for number in range(4))
ASKING, TWICE, LATE, APART = 0.4, 0.2, 0.05, 12
"""The shares of windows that ask for a training, of events that come again, and of those that come last; and
how many places an event may be from its own."""
PACE, FOR_A_SCHEDULER, FOR_A_TASK = 2.0, 16, 4
"""Seconds between two events, as a mean; and for so many events a scheduler is killed, and a running task."""
FIRST, DAY = day("2024-03-01"), timedelta(days=1)
SETTLED_WITHIN, LOOK, QUIET_LOOKS = 1200, 3.0, 10
BUSY, LOG = "airflow worker -- ", "scheduler-2.log"
MODEL = """
name: {name}
task: classification
entities: {{dataset: orders, known: [category, price, discount, items, new_customer]}}
features: orders
label: {{column: returned, delay: 7d}}
train:
  holdout: 10d
  candidates: [{{trainer: sklearn, estimator: sklearn.linear_model.LogisticRegression}}]
evaluate: {{objective: log_loss}}
promotion: {promotion}
policy:
  rules: [{{rule: own, function: "asking:asks"}}]
  cooldown: 0d
  max_refused: null
"""
PLUGIN = """
from keepfit.policy import Finding

ASKING = {asking!r}


def asks():
    def judge(seen):
        now = seen[-1]
        fires = (now.model, now.window_start.isoformat()) in ASKING
        return Finding("asking", fires, "it is one of those that ask" if fires else "it does not ask")

    return judge
"""
PLAIN = """
from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Asset, task

again = {"retries": 2, "retry_delay": timedelta(seconds=15)}
signal = Asset(name="signal", uri="x-plain://signal")

with DAG("plain__monitor", schedule=signal, is_paused_upon_creation=False, default_args=again):

    @task
    def asking(triggering_asset_events=None):
        events = [each for some in triggering_asset_events.values() for each in some]
        return [{"event": each.extra["event"]} for each in events if each.extra["asks"]]

    TriggerDagRunOperator.partial(task_id="start", trigger_dag_id="plain__train").expand(conf=asking())

with DAG("plain__train", schedule=None, is_paused_upon_creation=False, default_args=again):

    @task
    def train():
        import pandas as pd
        from sklearn.linear_model import LogisticRegression

        rows = pd.read_csv("DATA")
        LogisticRegression().fit(rows[["price", "discount", "items", "new_customer"]], rows["returned"])

    train()
"""


@dataclass(frozen=True)
class Event:
    """A window of a model has been predicted; it may be said again."""

    model: str
    window: Window
    asks: bool
    again: bool = False

    @property
    def name(self) -> str:
        """Name what it is about."""
        return f"{self.model} {self.window.key}"


def windows_of(count: int) -> list[Event]:
    """Return an event for each window, model by model, of which a share asks for a training."""
    chance = random.Random(0)  # noqa: S311
    windows = [Window(FIRST + number * DAY, FIRST + (number + 1) * DAY) for number in range(count)]
    return [Event(MODELS[at % 4], windows[at // 4], chance.random() < ASKING) for at in range(count)]


def stream(count: int) -> list[Event]:
    """Return so many events in the order of their delivery."""
    chance = random.Random(1)  # noqa: S311
    new = windows_of(count - round(TWICE * count))
    again = [Event(each.model, each.window, each.asks, True) for each in chance.sample(new, count - len(new))]
    place = {each.name: number * count / len(new) for number, each in enumerate(new)}

    def at(event: Event) -> float:
        late = count if not event.again and chance.random() < LATE else 0.0
        return late + place[event.name] + chance.uniform(-APART, APART)

    return sorted([*new, *again], key=at)


def lay_out(root: Path, events: Sequence[Event]) -> None:
    """Turn a starter project into four cheap models with a plain loop beside them."""
    repo = root / "feature_repo"
    shutil.rmtree(repo / "models")
    (repo / "models").mkdir()
    write_models(root, "auto")
    asking = {(each.model, each.window.start.isoformat()) for each in events if each.asks}
    (root / "plugins" / "asking.py").write_text(PLUGIN.format(asking=asking))
    (root / "dags" / "plain.py").write_text(PLAIN.replace("DATA", str(root / "data" / "orders.csv")))
    settings = repo / "keepfit.yaml"
    settings.write_text(settings.read_text() + 'sweep: "*/3 * * * *"\n')


def write_models(root: Path, promotion: str) -> None:
    """Write the models' files."""
    for name in MODELS:
        file = root / "feature_repo" / "models" / f"{name}.yaml"
        file.write_text(MODEL.format(name=name, promotion=promotion))


def fill(root: Path, events: Sequence[Event]) -> None:
    """Publish the rows and give each model a champion and its predictions; no other champion follows."""
    project, last = open_project(root), max(each.window.end for each in events)
    with open_stores(project):
        done_here(project, "ingest", Window(day("2024-01-01"), last))
        for name in MODELS:
            done_here(project, "train", None, name, as_of=FIRST.isoformat())
            done_here(project, "predict", Window(FIRST, last), name)
    write_models(root, "never")


@dataclass
class Killer:
    """Kills schedulers and running tasks; keeps a second scheduler beside the supervisor's in the block."""

    home: Path
    chance: random.Random
    killed: Counter[str] = field(default_factory=Counter)
    _seconds: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _sessions: list[Started] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._environment = psutil.Process(self._first.pid).environ()
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        # A process that has given itself a title does not show the environment by which `down` finds it.
        kill(session_members(self._sessions))

    @property
    def _first(self) -> Started:
        found = (each.started for each in read_status(self.home).components if each.name == "scheduler")
        return next(each for each in found if each)

    def _start(self) -> None:
        """Run another scheduler as the supervisor runs the first."""
        command = (*PYTHON, "keepfit.embedded.scheduler", "--skip-serve-logs")
        self._seconds.append(start(command, self._environment, self.home / "logs" / LOG, self.home))
        self._sessions.append(Started.of(self._seconds[-1].pid))

    def kill_first(self) -> None:
        """Kill the first; the supervisor clears up its tasks and starts it again."""
        with suppress(ProcessLookupError, StopIteration):
            os.kill(self._first.pid, signal.SIGKILL)
            self.killed["schedulers"] += 1

    def kill_second(self) -> None:
        """Kill the second, whose running tasks live on without it; start another at once."""
        self._seconds[-1].kill()
        self._seconds[-1].wait()
        self.killed["schedulers"] += 1
        self._start()

    def kill_task(self) -> None:
        """Kill a process that runs a task, or the one that looks after it, as soon as there is one."""
        for _ in range(100):
            if found := list(self._busy()):
                # Its title again, at the last moment: one that is idle holds the executor's lock.
                victim = self.chance.choice(found)
                with suppress(psutil.Error):
                    kind = kind_of(victim)
                    if kind:
                        victim.kill()
                        self.killed[kind] += 1
                        return
            time.sleep(0.1)

    def _busy(self) -> Iterator[psutil.Process]:
        sessions = {self._first.pid, *(each.pid for each in self._sessions)}
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if os.getsid(process.pid) in sessions and kind_of(process):
                    yield process


def kind_of(process: psutil.Process) -> str:
    """Tell tasks from those that look after them, by their titles; nothing for all others."""
    title = " ".join(process.cmdline())
    if not title.startswith(BUSY) or title.endswith("<idle>"):
        return ""
    return "supervisors of tasks" if "Executor" in title else "tasks"


@dataclass
class Sender:
    """Delivers events by REST."""

    airflow: AirflowClient

    def __post_init__(self) -> None:
        """Look the assets up."""
        names = ("signal", *(f"{name}__predictions" for name in MODELS))
        self._ids = {name: self._find(name) for name in names}

    def _find(self, name: str) -> int:
        for _ in range(120):
            found = self.airflow.get("/assets", {"name_pattern": name})["assets"]
            if found:
                return int(found[0]["id"])
            time.sleep(0.5)
        raise RuntimeError(f"Airflow does not know the asset {name}.")

    def send(self, event: Event, number: int) -> None:
        """Say it to keepfit and to the plain loop; every other one that comes again is a run by hand."""
        self._emit("signal", {"extra": {"event": event.name, "asks": event.asks}})
        if event.again and number % 2:
            self.airflow.trigger(f"{event.model}__monitor", f"by_hand_{number}", conf_of(event.window))
        else:
            self._emit(f"{event.model}__predictions", {"partition_key": event.window.key})

    def _emit(self, asset: str, said: Mapping[str, Any]) -> None:
        answer = self.airflow.call("POST", "/assets/events", json={"asset_id": self._ids[asset], **said})
        answer.raise_for_status()


def drive(events: Sequence[Event], sender: Sender, killer: Killer) -> None:
    """Deliver the events and kill, each at its time."""
    chance, began, at = random.Random(2), time.monotonic(), 0.0  # noqa: S311
    todo: list[tuple[float, Callable[[], None]]] = []
    for number, event in enumerate(events):
        at += chance.expovariate(1 / PACE)
        todo.append((at, partial(sender.send, event, number)))
    for turn in range(len(events) // FOR_A_SCHEDULER):
        kill = killer.kill_second if turn % 2 else killer.kill_first
        todo.append((FOR_A_SCHEDULER * PACE * (turn + chance.uniform(0.5, 0.9)), kill))
    todo += [(chance.uniform(5, at), killer.kill_task) for _ in range(len(events) // FOR_A_TASK)]
    for when, do in sorted(todo, key=lambda each: each[0]):
        time.sleep(max(0.0, began + when - time.monotonic()))
        do()
        say(f"{time.monotonic() - began:.0f} s: {dict(killer.killed)}")


def settle(airflow: AirflowClient) -> None:
    """Wait until nothing has run for a while, but for the sweep."""
    quiet, end = 0, time.monotonic() + SETTLED_WITHIN
    while quiet < QUIET_LOOKS and time.monotonic() < end:
        runs = [run for state in ("running", "queued") for run in airflow.runs("~", state=state)]
        at_work = sum(not run["dag_id"].startswith("keepfit__") for run in runs)
        say(f"{at_work} runs are open")
        quiet = 0 if at_work else quiet + 1
        time.sleep(LOOK)


def runs_of(airflow: AirflowClient, dag_id: str) -> list[dict[str, Any]]:
    """List all runs of a DAG."""
    found: list[dict[str, Any]] = []
    while page := airflow.runs(dag_id, offset=len(found)):
        found += page
    return found


@dataclass(frozen=True)
class Count:
    """What came of the stream in one way."""

    trained: Counter[str]
    """The trainings that were begun, by what they are about."""
    ended: set[str]
    """What a training has come to an end about."""
    failed: int
    """Runs of any of its DAGs that failed."""
    undecided: int | None = None

    def row(self, name: str, wanted: set[str]) -> str:
        """Write a line of the table."""
        doubled = self.trained.total() - len(self.trained)
        undecided = "-" if self.undecided is None else self.undecided
        cells = (self.trained.total(), len(wanted - self.ended), doubled, undecided, self.failed)
        return f"| {name} | {' | '.join(map(str, cells))} |"


def count_plain(airflow: AirflowClient) -> Count:
    """Count the runs of the plain loop."""
    runs = runs_of(airflow, "plain__train")
    about = [(each["conf"]["event"], each["state"]) for each in runs]
    failed = [each for each in (*runs, *runs_of(airflow, "plain__monitor")) if each["state"] == "failed"]
    return Count(
        Counter(name for name, _ in about), {name for name, state in about if state == "success"}, len(failed)
    )


def count_keepfit(airflow: AirflowClient, ledger: Ledger, events: Sequence[Event]) -> Count:
    """Count the runs of all models, and what the ledger says of them."""
    trained: Counter[str] = Counter()
    ended, decided, failed = set(), set(), 0
    for name in MODELS:
        runs = runs_of(airflow, f"{name}__train")
        about = {each.run_id: f"{name} {each.window.key}" for each in ledger.decisions(name) if each.run_id}
        decided |= {f"{name} {each.window.key}" for each in ledger.decisions(name)}
        trained.update(about.get(each["dag_run_id"], each["dag_run_id"]) for each in runs)
        judged = [each.run_id for each in ledger.trainings(name) if each.verdict != "error"]
        ended |= {about[run_id] for run_id in judged if run_id in about}
        failed += sum(each["state"] == "failed" for each in (*runs, *runs_of(airflow, f"{name}__monitor")))
    return Count(trained, ended, failed, len({each.name for each in events} - decided))


def sweep(airflow: AirflowClient, project: Project) -> int:
    """Start what `keepfit__sweep` would start a quarter of an hour later; return how many that are."""
    left = find_unstarted(project, datetime.now(UTC) + GRACE)
    asked = ((each["model"], each["decision"]) for each in left)
    return sum(airflow.trigger(f"{model}__train", one["run_id"], one["conf"]) for model, one in asked)


def measure(root: Path, events: Sequence[Event]) -> Iterator[str]:
    """Run it all; write the tables."""
    with airflow_of(root) as airflow, open_stores(open_project(root)) as locations:
        airflow.unpause("keepfit__sweep")
        began, project = time.monotonic(), open_project(root)
        with Killer(locations.home, random.Random(3)) as killer:  # noqa: S311
            drive(events, Sender(airflow), killer)
            settle(airflow)
            swept = sweep(airflow, project)
            settle(airflow)
        audit = Ledger(locations.ledger_url).audit()
        yield f"{time.monotonic() - began:.0f} s; load {os.getloadavg()[0]:.0f}"
        yield f"killed: {', '.join(f'{count} {kind}' for kind, count in killer.killed.items())}"
        yield f"to be started by the sweep: {swept}; {audit.links} links, {len(audit.findings)} findings\n"
        yield "| way | trainings | lost | doubled | windows undecided | runs failed |"
        yield "|---|---|---|---|---|---|"
        wanted = {each.name for each in events if each.asks}
        yield count_keepfit(airflow, Ledger(locations.ledger_url), events).row("keepfit", wanted)
        yield count_plain(airflow).row("plain", wanted)


def main(count: int) -> None:
    """Print the tables."""
    events = stream(count)
    windows = {each.name for each in events}
    asked = sum(each.asks for each in windows_of(len(windows)))
    print(f"{count} events about {len(windows)} windows, of which {asked} ask; load {os.getloadavg()[0]:.0f}")
    with starter() as root:
        lay_out(root, events)
        with redirect_stdout(sys.stderr):
            fill(root, events)
        for line in measure(root, events):
            print(line, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=80)
    main(parser.parse_args().events)
