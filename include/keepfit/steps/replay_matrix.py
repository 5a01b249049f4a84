"""Assemble the matrix of a replay: every model held against every window from its cut on."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from keepfit.policy import Matrix, faults
from keepfit.spec import ModelSpec, Window
from keepfit.steps.faults import BEFORE
from keepfit.steps.gate_cuts import gate_cuts
from keepfit.steps.replay_cell import TrainedCut, WindowRows, replay_cell
from keepfit.steps.training_rows import EVENT_TIME


def replay_matrix(
    spec: ModelSpec,
    kind: str,
    windows: Sequence[WindowRows],
    cuts: Sequence[TrainedCut],
    new_rows: Callable[[int, int], int],
) -> Matrix:
    """Measure every cell, and ask the gate about every pair.

    Args:
        spec: The model.
        kind: Which rows its trainings take.
        windows: The windows, side by side.
        cuts: What was trained at the start of each.
        new_rows: Counts the labelled rows of a window that no training since a cut has seen.
    """
    windows = _by_those_before(spec, windows, cuts, new_rows)
    pairs = [(cut, at) for cut in range(len(cuts)) for at in range(cut, len(windows))]
    return Matrix(
        model=spec.name,
        objective=spec.evaluate.objective,
        windows=tuple(each.window for each in windows),
        cells={
            (cut, at): replay_cell(spec, windows[at], cuts[cut], cuts[at], new_rows(cut, at))
            for cut, at in pairs
        },
        passes={
            (champion, challenger): gate_cuts(cuts[challenger], cuts[champion], spec).verdict == "pass"
            for champion, challenger in pairs
            if champion < challenger
        },
        kind=kind,
    )


def _by_those_before(
    spec: ModelSpec,
    windows: Sequence[WindowRows],
    cuts: Sequence[TrainedCut],
    new_rows: Callable[[int, int], int],
) -> list[WindowRows]:
    """Tell each window of those before it, and measure nothing on the rows of broken ones, as live.

    Whether one was is asked of the model trained at its start: the live loop asks whichever is champion, and
    what is broken is so for all of them.
    """
    told: list[WindowRows] = []
    for at, window in enumerate(windows):
        sound = [each.sketches for each in told if not each.broken]
        now = replace(
            window,
            before=tuple(sound[-BEFORE:]),
            due=_outside(window.due, [each.window for each in told if each.broken]),
        )
        drift = replay_cell(spec, now, cuts[at], cuts[at], new_rows(at, at)).signals.drift
        told.append(replace(now, broken=bool(faults(drift))))
    return told


def _outside(rows: pd.DataFrame, windows: Sequence[Window]) -> pd.DataFrame:
    """Leave out the rows of some windows."""
    for each in windows:
        rows = rows[~rows[EVENT_TIME].between(each.start, each.end, inclusive="left")]
    return rows
