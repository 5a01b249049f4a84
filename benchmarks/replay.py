"""Replay of the example's `arrival_delay` against training each policy's models from scratch.

Run it as `python benchmarks/replay.py`; `--every 7d` is the full size: about a thousand cells. The year of
flights is ingested into a project of its own. From scratch, each training of each policy builds a training
set, trains and evaluates; that is timed at three cuts and laid out in between, and counted by the walks.
"""

import argparse
from datetime import datetime
from typing import Any

import numpy as np
from common import say
from year import flights, replayed, timed

from keepfit.pipeline.snapshot import Snapshot, take_snapshot
from keepfit.pipeline.training import TrainingRun
from keepfit.policy import Matrix, Walk, walk
from keepfit.spec import Project
from keepfit.spec.policy import PolicySpec

MODEL = "arrival_delay"
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
        matrix, seconds = replayed(project, MODEL, every)
        say("training from scratch")
        scratch = from_scratch(project, [window.start for window in matrix.windows])
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
