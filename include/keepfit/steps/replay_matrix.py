"""Assemble the matrix of a replay: every model held against every window from its cut on."""

from collections.abc import Callable, Sequence

from keepfit.policy import Matrix
from keepfit.spec import ModelSpec
from keepfit.steps.gate_cuts import gate_cuts
from keepfit.steps.replay_cell import TrainedCut, WindowRows, replay_cell


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
