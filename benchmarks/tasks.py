"""What a task costs beyond its own work, with keepfit's settings and with Airflow's defaults.

One project and one database, a real Airflow on it three times: with keepfit's profile, with the heartbeat of
Airflow's defaults, and with all of `OVERRIDDEN` left at these. Then the same steps in this process.
Times are the start and end of task instances as the REST API tells them. The first runs are not counted:
each worker's first task is slow.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median, quantiles

from common import (
    DATASET,
    MODEL,
    TaskTime,
    airflow_of,
    conf_of,
    day,
    done_here,
    say,
    starter,
    succeed,
    weeks,
)

from keepfit.cli.project import open_project, open_stores
from keepfit.embedded import supervise
from keepfit.embedded.client import AirflowClient
from keepfit.embedded.supervisor import up
from keepfit.spec import Project, Window

HEARTBEAT = ("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS")
OVERRIDDEN = (
    *HEARTBEAT,
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME",
    "AIRFLOW__SCHEDULER__MP_START_METHOD",
    "AIRFLOW__CORE__MP_FORKSERVER_PRELOAD",
)
LIBRARIES = ("feast", "mlflow", "great_expectations", "evidently")
CHAIN = 10
RUNS = 3
HISTORY = Window(day("2024-01-01"), day("2024-04-01"))
TRAIN = {"as_of": "2024-04-01T00:00:00+00:00", "promotion": "never"}
DAGS = f"""
from airflow.sdk import DAG, chain, task

with DAG("bench_chain", schedule=None):

    @task
    def nothing():
        pass

    chain(*(nothing.override(task_id=f"nothing_{{number}}")() for number in range({CHAIN})))

with DAG("bench_imports", schedule=None):

    @task
    def load(name):
        from importlib import import_module
        from time import perf_counter

        began = perf_counter()
        import_module(name)
        return perf_counter() - began

    chain(*(load.override(task_id=name)(name) for name in {LIBRARIES!r}))
"""


@dataclass(frozen=True)
class Measured:
    """What was seen in one Airflow."""

    chain: list[TaskTime]
    steps: dict[str, list[TaskTime]]
    """The tasks of the starter's own DAGs, by `<verb> <step>`."""
    imports: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def measure(airflow: AirflowClient, label: str, windows: list[Window]) -> Measured:
    """Do the runs: the first window and a first chain to warm up, then what counts."""
    say(f"{label}: warming up")
    succeed(airflow, f"{DATASET}__ingest", f"{label}_warm", conf_of(windows[0]))
    for number in range(2):
        succeed(airflow, "bench_chain", f"{label}_warm_{number}", {})
    seen = Measured([], defaultdict(list))
    for number, window in enumerate(windows[1:]):
        say(f"{label}: run {number + 1} of {RUNS}")
        run_id = f"{label}_{number}"
        seen.chain.extend(succeed(airflow, "bench_chain", run_id, {}))
        succeed(airflow, "bench_imports", run_id, {})
        for name in LIBRARIES:
            seen.imports[name].append(told(airflow, run_id, name))
        gather(seen.steps, "ingest", succeed(airflow, f"{DATASET}__ingest", run_id, conf_of(window)))
        gather(seen.steps, "train", succeed(airflow, f"{MODEL}__train", run_id, TRAIN))
    return seen


def told(airflow: AirflowClient, run_id: str, task_id: str) -> float:
    """Read the seconds that a task of `bench_imports` returned."""
    path = f"/dags/bench_imports/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
    return float(airflow.get(path)["value"])


def gather(steps: dict[str, list[TaskTime]], verb: str, tasks: Iterable[TaskTime]) -> None:
    """Add a run's tasks to those of their step."""
    for task in tasks:
        steps[f"{verb} {task.task_id}"].append(task)


def own_work(project: Project, windows: list[Window]) -> dict[str, float]:
    """Return the median seconds of each step in this process; the first round only loads the libraries."""
    seconds: dict[str, list[float]] = defaultdict(list)
    with open_stores(project):
        for number, window in enumerate(windows):
            say(f"in one process: run {number} of {RUNS}")
            for step, took in done_here(project, "ingest", window):
                seconds[f"ingest {step}"].append(took)
            for step, took in done_here(project, "train", None, **TRAIN):
                seconds[f"train {step}"].append(took)
    # `train` comes once for each candidate.
    return {step: median(each[len(each) // len(windows) :]) for step, each in seconds.items()}


def gaps(tasks: Iterable[TaskTime]) -> list[float]:
    """Return the gaps before tasks, where there is one."""
    return [task.gap for task in tasks if task.gap is not None]


def middle(tasks: Iterable[TaskTime], of: Callable[[Iterable[TaskTime]], list[float]]) -> float:
    """Return the median of something about tasks; 0 if there is nothing."""
    return median(of(tasks) or [0.0])


def slow(seconds: list[float]) -> float:
    """Return the 90th percentile: a median hides a task that waits for a free slot."""
    return quantiles(seconds, n=10)[-1]


def durations(tasks: Iterable[TaskTime]) -> list[float]:
    """Return how long tasks took."""
    return [task.duration for task in tasks]


def print_overhead(*seen: Measured) -> None:
    """Print what trivial tasks and imports cost; keepfit's profile comes first, Airflow's defaults last."""
    steps = [[task for step in each.steps.values() for task in step] for each in seen]
    rows = {
        "gap between two trivial tasks": [middle(each.chain, gaps) for each in seen],
        "the same, the slowest tenth from": [slow(gaps(each.chain)) for each in seen],
        "trivial task": [middle(each.chain, durations) for each in seen],
        "gap between two steps of the starter": [middle(each, gaps) for each in steps],
        "the slowest tenth of these from": [slow(gaps(each)) for each in steps],
    }
    for name in LIBRARIES:
        rows[f"`import {name}` in a task"] = [median(each.imports[name]) for each in seen]
    print("| median seconds | keepfit | keepfit, heartbeat 5 s | Airflow's defaults | keepfit / defaults |")
    print("|---|---|---|---|---|")
    for what, values in rows.items():
        cells = " | ".join(f"{each:.2f}" for each in values)
        print(f"| {what} | {cells} | {values[0] / values[-1]:.2f} |")


def print_steps(ours: Measured, default: Measured, work: Mapping[str, float]) -> None:
    """Print, by step, the task's time with the gap before it, beside the work itself."""
    print("\n| step | own work s | keepfit: gap + task s | beyond its work s | ", end="")
    print("defaults: gap + task s | beyond its work s |\n|---|---|---|---|---|---|")
    for step, tasks in ours.steps.items():
        cells = [f"{work[step]:.2f}" if step in work else "-"]
        for each in (tasks, default.steps.get(step, [])):
            gap, took = middle(each, gaps), middle(each, durations)
            before = f"{gap:.2f}" if gaps(each) else "-"
            cells += [f"{before} + {took:.2f}", f"{gap + took - work.get(step, 0.0):.2f}"]
        print(f"| {step} | {' | '.join(cells)} |")


def supervise_without(root: Path, left_out: Collection[str]) -> None:
    """Supervise the project in this process, some of keepfit's variables left out."""
    profile = supervise.airflow_environment

    def without(*arguments: object) -> dict[str, str]:
        settings = profile(*arguments)  # type: ignore[arg-type]
        return {name: value for name, value in settings.items() if name not in left_out}

    supervise.airflow_environment = without
    up(root, foreground=True, on_progress=say)


def main() -> None:
    """Print the tables."""
    if sys.argv[1:2] == ["--supervise"]:
        supervise_without(Path(sys.argv[2]), sys.argv[3:])
        return
    all_weeks = weeks(HISTORY.end, 3 * RUNS + 2)
    later = iter(all_weeks)
    with starter() as root:
        (root / "dags" / "benchmark.py").write_text(DAGS)
        supervise_me = (sys.executable, __file__, "--supervise", str(root))
        with airflow_of(root) as airflow:
            ours = measure(airflow, "keepfit", [HISTORY, *islice(later, RUNS)])
        with airflow_of(root, (*supervise_me, *HEARTBEAT)) as airflow:
            slower = measure(airflow, "heartbeat", [*islice(later, RUNS + 1)])
        with airflow_of(root, (*supervise_me, *OVERRIDDEN)) as airflow:
            default = measure(airflow, "defaults", [*islice(later, RUNS + 1)])
        work = own_work(open_project(root), all_weeks[: RUNS + 1])
    print_overhead(ours, slower, default)
    print_steps(ours, default, work)


if __name__ == "__main__":
    main()
