"""The whole loop three times: in Airflow, in one process, and by hand with bare calls of the libraries.

Ingest four months of the starter's orders, train, then three weeks: ingest, predict, monitor. In Airflow a
week is from its trigger by REST to the end of the monitoring that its published partition leads to.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from common import (
    DATASET,
    MODEL,
    airflow_of,
    conf_of,
    day,
    done_here,
    moment,
    say,
    starter,
    succeed,
    weeks,
)

from keepfit.cli.project import open_project, open_stores
from keepfit.embedded.client import AirflowClient
from keepfit.embedded.settings import SHARED
from keepfit.spec import Project, Window

if TYPE_CHECKING:
    from bare import Loop

FIRST = Window(day("2024-01-01"), day("2024-05-01"))
WEEKS = weeks(FIRST.end, 3)
STAGES = {
    "start": "start: processes, databases, imports",
    "ingest": "ingest four months",
    "train": "train, evaluate, register, deploy",
    "week": "a week: ingest, predict, monitor (median of three)",
}
Seconds = Mapping[str, float]


def timed(work: Callable[[], Any]) -> float:
    """Return the wall seconds of some work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_airflow() -> Seconds:
    """Time the loop in a real Airflow."""
    with starter() as root:
        began = time.perf_counter()
        with airflow_of(root) as airflow:
            seconds = {"start": time.perf_counter() - began}
            for verb in ("predict", "monitor"):
                airflow.unpause(f"{MODEL}__{verb}")
            train = {"as_of": FIRST.end.isoformat()}
            seconds["ingest"] = run_seconds(airflow, f"{DATASET}__ingest", conf_of(FIRST))
            # The first window's rows wake the predictions, which find no champion.
            next_run(airflow, f"{MODEL}__predict", set())
            seconds["train"] = run_seconds(airflow, f"{MODEL}__train", train)
            # What a week may decide would train beside the next one.
            airflow.call("PATCH", f"/dags/{MODEL}__train", json={"is_paused": True})
            seconds["week"] = median(week_seconds(airflow, week) for week in WEEKS)
    return seconds


def run_seconds(airflow: AirflowClient, dag_id: str, conf: Mapping[str, Any]) -> float:
    """Trigger a run and return the seconds to its end, which Airflow tells to the millisecond."""
    airflow.unpause(dag_id)
    began = datetime.now(UTC)
    succeed(airflow, dag_id, "benchmark", conf)
    (run,) = airflow.runs(dag_id)
    return (moment(run["end_date"]) - began).total_seconds()


def week_seconds(airflow: AirflowClient, week: Window) -> float:
    """Ingest a week and return the seconds to the end of its monitoring."""
    known = {run["dag_run_id"] for run in airflow.runs(f"{MODEL}__monitor")}
    began = datetime.now(UTC)
    succeed(airflow, f"{DATASET}__ingest", week.key, conf_of(week))
    return (moment(next_run(airflow, f"{MODEL}__monitor", known)["end_date"]) - began).total_seconds()


def next_run(airflow: AirflowClient, dag_id: str, known: set[str]) -> dict[str, Any]:
    """Wait for a run that was not there before, and for its end."""
    for _ in range(1200):
        for run in airflow.runs(dag_id):
            if run["dag_run_id"] not in known and run["state"] in ("success", "failed"):
                if run["state"] == "failed":
                    raise RuntimeError(airflow.failure(dag_id, run["dag_run_id"]))
                return run
        time.sleep(0.2)
    raise RuntimeError(f"No run of {dag_id} has ended.")


def in_one_process(root: Path) -> Seconds:
    """Time the same steps one after the other here."""
    began = time.perf_counter()
    project = open_project(root)
    with open_stores(project):
        import_everything()
        seconds = {"start": time.perf_counter() - began}
        seconds["ingest"] = timed(lambda: done_here(project, "ingest", FIRST))
        seconds["train"] = timed(lambda: done_here(project, "train", None, as_of=FIRST.end.isoformat()))
        seconds["week"] = median(timed(partial(week_here, project, week)) for week in WEEKS)
    return seconds


def week_here(project: Project, week: Window) -> None:
    """Do a week's steps in this process."""
    for verb in ("ingest", "predict", "monitor"):
        done_here(project, verb, week)


def import_everything() -> None:
    """Load what the steps would load when they are first done."""
    from keepfit.airflow import preload

    if preload.FAILURES:
        raise RuntimeError(str(preload.FAILURES))


def by_hand(root: Path) -> Seconds:
    """Time the bare calls."""
    began = time.perf_counter()
    import pandas as pd
    from bare import Loop

    with TemporaryDirectory(prefix="keepfit-benchmark-") as folder:
        loop = Loop(root / "data" / "orders.csv", Path(folder))
        seconds = {"start": time.perf_counter() - began}
        first = pd.Timestamp(FIRST.start), pd.Timestamp(FIRST.end)
        seconds["ingest"] = timed(lambda: loop.ingest(*first))
        seconds["train"] = timed(lambda: loop.train(first[1]))
        seconds["week"] = median(timed(partial(week_by_hand, loop, week)) for week in WEEKS)
    return seconds


def week_by_hand(loop: "Loop", week: Window) -> None:
    """Do a week with bare calls."""
    import pandas as pd

    loop.ingest(pd.Timestamp(week.start), pd.Timestamp(week.end))
    loop.predict(pd.Timestamp(week.start))
    loop.monitor(pd.Timestamp(week.start))


def in_a_child(way: str) -> Seconds:
    """Time one of the ways below in a fresh process, with the threads and the quiet of keepfit's settings."""
    say(f"{way}: running")
    with starter() as root:
        command = (sys.executable, __file__, way, str(root))
        done = subprocess.run(command, env=os.environ | SHARED, check=True, stdout=subprocess.PIPE, text=True)
    seconds: Seconds = json.loads(done.stdout.splitlines()[-1])
    return seconds


CHILDREN: Mapping[str, Callable[[Path], Seconds]] = {"one-process": in_one_process, "by-hand": by_hand}


def print_table(airflow: Seconds, process: Seconds, hand: Seconds) -> None:
    """Print seconds and ratios by stage, and without the start in all."""
    print("| wall seconds | Airflow | one process | bare calls | Airflow / process | process / bare |")
    print("|---|---|---|---|---|---|")
    rows = {text: [each[stage] for each in (airflow, process, hand)] for stage, text in STAGES.items()}
    rows["all but the start"] = [
        sum(each[stage] for stage in STAGES if stage != "start") for each in (airflow, process, hand)
    ]
    for text, (one, two, three) in rows.items():
        print(f"| {text} | {one:.1f} | {two:.1f} | {three:.1f} | {one / two:.1f} | {two / three:.1f} |")


def main() -> None:
    """Print the table; with an argument, time one way for it."""
    if len(sys.argv) > 1:
        with redirect_stdout(sys.stderr):
            seconds = CHILDREN[sys.argv[1]](Path(sys.argv[2]))
        print(json.dumps(seconds))
        return
    hand, process = in_a_child("by-hand"), in_a_child("one-process")
    print_table(in_airflow(), process, hand)


if __name__ == "__main__":
    main()
