"""How long a new Airflow takes until its first task is done, by when the libraries of tasks begin to load.

The same project is started in turn with Airflow's own scheduler, whose fork server loads them with the
first task, and with keepfit's, which begins at once. A first start makes the databases and is not counted.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

from common import airflow_of, say, starter

from keepfit.embedded import components, supervise
from keepfit.embedded.supervisor import up

PAIRS = 3
SCHEDULER = (*components.PYTHON, "airflow", "scheduler", "--skip-serve-logs")
DAG = """
from airflow.sdk import DAG, task

with DAG("bench_one", schedule=None):

    @task
    def nothing():
        pass

    nothing()
"""


def first_task(root: Path, when: str, number: int) -> tuple[float, float]:
    """Return the seconds until Airflow is healthy, and from then to the end of the first task."""
    began = time.perf_counter()
    with airflow_of(root, (sys.executable, __file__, "--supervise", str(root), when)) as airflow:
        healthy = time.perf_counter()
        airflow.unpause("bench_one")
        airflow.trigger("bench_one", f"{when}_{number}", {})
        airflow.wait("bench_one", f"{when}_{number}")
        return healthy - began, time.perf_counter() - healthy


def supervise_with(root: Path, when: str) -> None:
    """Supervise the project in this process, with one scheduler or the other."""
    ours = supervise.programs

    def airflows(*arguments: object) -> tuple[components.Program, ...]:
        made = ours(*arguments)  # type: ignore[arg-type]
        return tuple(replace(each, command=SCHEDULER) if each.name == "scheduler" else each for each in made)

    if when == "late":
        supervise.programs = airflows
    up(root, foreground=True, on_progress=say)


def main() -> None:
    """Print each pair of starts."""
    if sys.argv[1:2] == ["--supervise"]:
        supervise_with(Path(sys.argv[2]), sys.argv[3])
        return
    print("| pair | late: healthy + first task s | early: healthy + first task s |\n|---|---|---|")
    with starter() as root:
        (root / "dags" / "benchmark.py").write_text(DAG)
        with airflow_of(root):
            say("made the databases")
        for number in range(PAIRS):
            late, early = (first_task(root, when, number) for when in ("late", "early"))
            cells = " | ".join(f"{healthy:.1f} + {task:.1f}" for healthy, task in (late, early))
            print(f"| {number + 1} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
