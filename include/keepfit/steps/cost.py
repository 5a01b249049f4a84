"""What a model takes: time to score one row, and room."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from keepfit.plugins import Model

_WARM_UP, _TIMED = 5, 100


def one_row_ms(model: Model, rows: pd.DataFrame, clock: Callable[[], float]) -> float | None:
    """Return the median time in milliseconds to score one row, over some of the rows; none without rows.

    Args:
        model: Any model.
        rows: Its features; some rows spread evenly over all are scored, one after the other.
        clock: Returns seconds, such as `time.perf_counter`.
    """
    if rows.empty:
        return None
    taken = []
    for at in np.linspace(0, len(rows) - 1, _WARM_UP + _TIMED).astype(int):
        row = rows.iloc[[at]]
        began = clock()
        model.predict(row)
        taken.append(clock() - began)
    return float(np.median(taken[_WARM_UP:]) * 1000)


def size_mb(folder: Path) -> float:
    """Return the size of all files of a folder, in millions of bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
