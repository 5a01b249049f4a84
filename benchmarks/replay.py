"""Replay of the example's `arrival_delay` against training each policy's models from scratch.

Run it as `python benchmarks/replay.py`; `--every 7d` is the full size: about a thousand cells. The year of
flights is ingested into a project of its own. From scratch, each training of each policy builds a training
set, trains and evaluates; that is timed at three cuts and laid out in between, and counted by the walks.
"""

import argparse
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from common import day, say

from keepfit.cli.access import local_access
from keepfit.cli.project import open_project, open_stores
from keepfit.pipeline.ingest import IngestRun
from keepfit.pipeline.replaying import ReplayRun
from keepfit.pipeline.snapshot import Snapshot, take_snapshot
from keepfit.pipeline.training import TrainingRun
from keepfit.policy import Matrix, Walk, walk
from keepfit.spec import Project, Window
from keepfit.spec.policy import PolicySpec

CHECKOUT, MODEL = Path(__file__).parents[1], "arrival_delay"
YEAR = Window(day("2013-01-01"), day("2014-01-01"))
STEPS = ("extract", "check_schema", "validate", "transform", "publish")
SAMPLED = 3
WALKS = 20
"""Each policy is walked so often, and the median counts."""
_CALENDAR: list[Any] = [{"rule": "calendar", "every": f"{days}d"} for days in (7, 14, 28, 56, 91)]
_DRIFT: list[Any] = [{"rule": "drift_share", "share": share} for share in (0.3, 0.5, 0.7)]
_WORSE: list[Any] = [{"rule": "performance", "worse_by": share} for share in (0.05, 0.1, 0.25, 0.5)]
_REGRET: list[Any] = [{"rule": "regret", "cost": cost} for cost in (0.2, 1, 5)]
_ROWS: list[Any] = [{"rule": "new_rows", "at_least": rows} for rows in (20_000, 60_000)]
_TWICE: Any = {"rule": "m_of_n", "m": 2, "n": 3, "of": _WORSE[1]}
RULES: list[list[Any]] = [
    [],
    *([rule] for rule in (*_CALENDAR, *_DRIFT, *_WORSE, *_REGRET, *_ROWS)),
    [_TWICE],
    [_WORSE[2], _CALENDAR[4]],
]
"""Twenty policies: none, and one rule or two."""


@contextmanager
def flights() -> Iterator[Project]:
    """Lend the example with its year of flights published, and nothing online."""
    with TemporaryDirectory(prefix="keepfit-benchmark-") as folder:
        root = Path(folder)
        for name in ("feature_repo", "plugins"):
            shutil.copytree(CHECKOUT / name, root / name)
        settings = root / "feature_repo" / "keepfit.yaml"
        settings.write_text(settings.read_text().replace("database: embedded", "database: sqlite"))
        project = open_project(root)
        from nyc_flights import write_source

        write_source(root / "data" / "source")
        with open_stores(project):
            for name in sorted(project.datasets, key=lambda each: bool(project.datasets[each].inputs)):
                say(f"ingesting {name}")
                ingest(project, name)
            yield project


def ingest(project: Project, name: str) -> None:
    """Publish a dataset's year."""
    settings = {"full_refresh": False, "recompute": False}
    taken = take_snapshot(project, f"{name}__ingest", "year", dataset=name, window=YEAR, settings=settings)
    run = IngestRun(taken, local_access(taken.locations))
    for step in STEPS:
        getattr(run, step)()


def replayed(project: Project, every: str) -> tuple[Matrix, Mapping[str, float], list[datetime]]:
    """Replay the model; return the matrix, the seconds of each step, and the cuts."""
    settings = {"cost": 1.0, "every": every}
    taken = take_snapshot(project, f"{MODEL}__replay", "replay", model=MODEL, settings=settings)
    run, seconds = ReplayRun(taken), {}
    count, seconds["lay out the history"] = timed(lambda: run.lay_out()["cuts"])
    trained = [timed(lambda index=index: run.train_cut(index))[1] for index in range(count)]
    seconds["train at the cuts"] = sum(trained)
    _, seconds["assemble the matrix"] = timed(run.assemble)
    (matrix,) = run.matrices()
    return matrix, seconds, [window.start for window in matrix.windows]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what some work gives, and its CPU seconds: other work may share the machine."""
    began = time.process_time()
    return work(), time.process_time() - began


def from_scratch(project: Project, cuts: list[datetime]) -> list[float]:
    """Return the CPU seconds of a training at each cut: some are timed, those between laid on a line."""
    sampled = np.linspace(0, len(cuts) - 1, SAMPLED).astype(int)
    seconds = [timed(lambda at=at: train(snapshot_of(project, cuts[at])))[1] for at in sampled]
    return [float(each) for each in np.interp(range(len(cuts)), sampled, seconds)]


def snapshot_of(project: Project, as_of: datetime) -> Snapshot:
    """Fix a training."""
    settings = {"as_of": as_of.isoformat(), "reason": None, "promotion": "never", "decision": None}
    run_id = f"scratch_{as_of:%Y%m%d}"
    return take_snapshot(project, f"{MODEL}__train", run_id, model=MODEL, settings=settings)


def train(taken: Snapshot) -> None:
    """Build a training set, train and evaluate, all that a policy's model needs to be scored."""
    run = TrainingRun(taken)
    run.build_training_set()
    for index in range(len(run.spec.train.candidates)):
        run.train(index)
    run.evaluate()


def walks(matrix: Matrix) -> tuple[list[Walk], float]:
    """Walk all policies; return the walks and the milliseconds of all together."""
    policies = [PolicySpec.model_validate({"rules": rules}) for rules in RULES]
    taken = [timed(lambda: [walk(each, matrix) for each in policies]) for _ in range(WALKS)]
    return taken[0][0], 1000 * float(np.median([seconds for _, seconds in taken]))


def main() -> None:
    """Print the tables."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--every", default="28d", help="the windows' length")
    every = asked.parse_args().every
    with flights() as project:
        matrix, seconds, cuts = replayed(project, every)
        say("training from scratch")
        scratch = from_scratch(project, cuts)
        walked, milliseconds = walks(matrix)
    trainings = [[0, *(step.window for step in each.steps if step.trained)] for each in walked]
    summed = sum(scratch[cut] for each in trainings for cut in each)
    distinct = {cut for each in trainings for cut in each}
    ours = sum(seconds.values())
    print(f"{len(matrix.windows)} windows of {every}, {len(matrix.cells):,} cells; CPU seconds\n")
    print("| what | CPU s |\n|---|---|")
    for name, taken in {**seconds, "the replay in all": ours}.items():
        print(f"| {name} | {taken:.1f} |")
    count = sum(map(len, trainings))
    print(
        f"| {count} trainings of {len(RULES)} policies from scratch, {SAMPLED} of them timed | {summed:.1f} |"
    )
    print(f"| the {len(distinct)} different ones among them | {sum(scratch[cut] for cut in distinct):.1f} |")
    print(
        f"\nfrom scratch / replay: {summed / ours:.1f}; {len(RULES)} policies walked in {milliseconds:.0f} ms"
    )


if __name__ == "__main__":
    main()
