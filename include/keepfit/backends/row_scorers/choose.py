"""Which way a loaded model scores a few rows: the fast one where it agrees, else its own."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from keepfit.backends.coded_model import CodedModel
from keepfit.backends.coding import LARGEST, Matrix

Score = Callable[[Matrix], NDArray[np.float64]]
FAST = {
    "lightgbm": ("booster", "keepfit.backends.row_scorers.lightgbm"),
    "xgboost": ("in place", "keepfit.backends.row_scorers.xgboost"),
    "skops": ("treelite", "keepfit.backends.row_scorers.sklearn"),
}
OWN = "as trained"
TOLERANCE = 1e-6
_ROWS = 500
_SLOW = 5e-4
"""Seconds for one row from which a model would hold up the other requests of its process."""


@dataclass(frozen=True)
class RowScorer:
    """How a version scores rows that are already coded."""

    score: Score
    way: str
    seconds: float
    """CPU time of one row, the median of a few tries."""

    @property
    def slow(self) -> bool:
        """Tell whether it belongs into a thread."""
        return self.seconds > _SLOW


def choose_scorer(model: CodedModel, reference: Matrix) -> RowScorer:
    """Take the flavor's fast way if it scores reference rows, and rows with gaps, as the model itself does.

    Args:
        model: The loaded model.
        reference: Coded rows of its training, at least one.
    """
    probes = _probes(reference[:_ROWS], model.coding.numbers)
    way, module = FAST[model.flavor]
    fast: Score | None = import_module(module).scorer(model)
    if fast is not None and _agree(fast, model.score, probes):
        return RowScorer(fast, way, _seconds(fast, reference[:1]))
    return RowScorer(model.score, OWN, _seconds(model.score, reference[:1]))


def _probes(rows: Matrix, numbers: Sequence[int]) -> Matrix:
    """Return the rows, one for each feature that lacks it, one that lacks them all, and the far ends."""
    gaps = np.repeat(rows[:1], rows.shape[1] + 1, axis=0)
    np.fill_diagonal(gaps, np.nan)
    gaps[-1] = np.nan
    ends = np.repeat(rows[:1], 2, axis=0)
    ends[:, numbers] = [[-LARGEST], [LARGEST]]
    return np.vstack([rows, gaps, ends])


def _agree(fast: Score, own: Score, rows: Matrix) -> bool:
    try:
        apart = np.max(np.abs(fast(rows) - own(rows)))
        one_by_one = max(abs(fast(row[None, :])[0] - own(row[None, :])[0]) for row in rows[:3])
    except Exception:  # noqa: BLE001 - whatever it raises, the model's own way stays
        return False
    return bool(apart <= TOLERANCE and one_by_one <= TOLERANCE)


def _seconds(score: Score, row: Matrix) -> float:
    times = []
    for _ in range(5):
        began = time.thread_time()
        score(row)
        times.append(time.thread_time() - began)
    return float(np.median(times))
