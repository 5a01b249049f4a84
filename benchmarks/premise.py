"""Which signal foretells that a training would pay: rank correlations over the matrix of a replay."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr

from keepfit.policy import Matrix, Signals


def _loss(matrix: Matrix, cut: int, at: int) -> float | None:
    return matrix.cells[cut, at].loss


def _regret(matrix: Matrix, cut: int, at: int) -> float | None:
    """Return what a model trained at the window's start loses less, on all rows of the window."""
    mine, fresh = matrix.cells[cut, at].loss, matrix.cells[at, at].loss
    return None if mine is None or fresh is None or cut == at else mine - fresh


def _next_regret(matrix: Matrix, cut: int, at: int) -> float | None:
    return _regret(matrix, cut, at + 1)


_AIMS = (_loss, _regret, _next_regret)


def _worse(seen: Signals) -> float | None:
    found = seen.performance
    if found is None or found.value is None or not found.holdout:
        return None
    sign = -1 if found.higher_is_better else 1
    return sign * (found.value / found.holdout - 1)


def _age(seen: Signals) -> float | None:
    since = seen.champion.as_of if seen.champion else None
    return (seen.window_end - since).total_seconds() if since else None


SIGNALS: Mapping[str, Callable[[Signals], float | None]] = {
    "drift share": lambda seen: seen.drift.share if seen.drift else None,
    "weighted drift": lambda seen: seen.drift.weighted.value if seen.drift else None,
    "prediction drift": lambda seen: seen.prediction.value,
    "objective, as on the holdout or worse": _worse,
    "regret": lambda seen: seen.regret.value if seen.regret else None,
    "age": _age,
}


def premise(matrices: Sequence[Matrix]) -> None:
    """Print how each signal goes with the loss, and with what a training would save in the next window."""
    print(
        "\nSpearman's correlation of a signal with the window's loss, its regret and the next window's regret"
    )
    print(
        "\n| model | signal | first model: loss | regret | next regret | all: loss | regret | next regret |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for matrix in matrices:
        pairs = [at for at in matrix.cells if at[1] + 1 < len(matrix.windows)]
        for name, signal in SIGNALS.items():
            first = [at for at in pairs if at[0] == 0]
            told = [_told(matrix, signal, some, what) for some in (first, pairs) for what in _AIMS]
            print(f"| {matrix.model} | {name} | {' | '.join(told)} |")


def _told(
    matrix: Matrix,
    signal: Callable[[Signals], float | None],
    pairs: Sequence[tuple[int, int]],
    aim: Callable[[Matrix, int, int], float | None],
) -> str:
    both = [(signal(matrix.cells[at].signals), aim(matrix, *at)) for at in pairs]
    known = np.array([each for each in both if None not in each], dtype=np.float64)
    if len(known) < 3 or np.ptp(known, axis=0).min() == 0:
        return "-"
    return f"{spearmanr(known).statistic:.2f}"
