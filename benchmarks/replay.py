"""Replay of the example's `arrival_delay` against training each policy's models from scratch.

Run it as `python benchmarks/replay.py`; `--every 7d` is the full size: about a thousand cells. The year of
flights is ingested into a project of its own. From scratch, each training of each policy builds a training
set, trains and evaluates; that is timed at three cuts and laid out in between, and counted by the walks.
Rules that weigh regret, or whether a shift is harmless, ask for fresh challengers beside. It is done for
twenty policies made up here, and for those that a replay tries.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
from common import say
from simulated import first_loss
from year import flights, replayed, timed

from keepfit.pipeline.snapshot import Snapshot, take_snapshot
from keepfit.pipeline.training import TrainingRun
from keepfit.policy import Matrix, Walk, needs_challenger, walk
from keepfit.policy.candidates import candidates
from keepfit.spec import Project
from keepfit.spec.policy import PolicySpec

MODEL = "arrival_delay"
Row = tuple[str, float]
PRICE = 0.025
"""Of a training, in mean losses of a window, for the policies that a replay tries."""
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


def walks(policies: Sequence[PolicySpec], matrix: Matrix) -> float:
    """Return the milliseconds that it takes to walk all policies."""
    taken = [timed(lambda: [walk(each, matrix) for each in policies])[1] for _ in range(WALKS)]
    return 1000 * float(np.median(taken))


def scratch_cuts(policy: PolicySpec, walked: Walk, matrix: Matrix) -> tuple[list[int], list[int]]:
    """Return the cuts a policy trains at, and those where it asks for a fresh challenger."""
    trainings = [0, *(step.window for step in walked.steps if step.trained)]
    challengers = []
    for step in walked.steps:
        seen = [
            replace(matrix.cells[step.champion, at].signals, regret=None)
            for at in range(step.champion, step.window + 1)
        ]
        if step.champion < step.window and needs_challenger(seen[-1], seen[:-1], policy):
            challengers.append(step.window)
    return trainings, challengers


def scratch_rows(matrix: Matrix, policies: Sequence[PolicySpec], seconds: Sequence[float]) -> list[Row]:
    """Return what policies cost from scratch: trainings, with challengers, and each cut once."""
    cuts = [scratch_cuts(each, walk(each, matrix), matrix) for each in policies]
    trained = [cut for trainings, _ in cuts for cut in trainings]
    asked = [cut for _, challengers in cuts for cut in challengers]
    name = f"{len(policies)} policies from scratch"
    return [
        (f"{name}: {len(trained)} trainings", sum(seconds[cut] for cut in trained)),
        (f"{name}: and {len(asked)} fresh challengers", sum(seconds[cut] for cut in trained + asked)),
        (f"{name}, each cut trained once", sum(seconds[cut] for cut in {*trained, *asked})),
    ]


def main() -> None:
    """Print the tables."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--every", default="28d", help="the windows' length")
    every = asked.parse_args().every
    with flights() as project:
        matrix, seconds = replayed(project, MODEL, every)
        say("training from scratch")
        scratch = from_scratch(project, [window.start for window in matrix.windows])
        own = project.model(MODEL).policy
    policies = [PolicySpec.model_validate({"rules": rules}) for rules in RULES]
    milliseconds = walks(policies, matrix)
    half = range(len(matrix.windows) // 2)
    tried = [each.policy for each in candidates(own, matrix, PRICE * first_loss(matrix, 0.5), half)]
    ours = sum(seconds.values())
    print(f"{len(matrix.windows)} windows of {every}, {len(matrix.cells):,} cells\n")
    print("| what | CPU s | / the replay |\n|---|---|---|")
    rows = [*seconds.items(), ("the replay in all", ours)]
    for some in (policies, tried):
        rows += scratch_rows(matrix, some, scratch)
    for name, taken in rows:
        print(f"| {name} | {taken:.1f} | {taken / ours:.1f} |")
    print(f"\n{len(policies)} policies walked in {milliseconds:.0f} ms")


if __name__ == "__main__":
    main()
