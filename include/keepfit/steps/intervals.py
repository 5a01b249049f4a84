"""Say how far a metric may lie from what the holdout shows: a bootstrap of whole days."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.steps.compare import FEWEST_DAYS
from keepfit.steps.evaluate import CHALLENGER
from keepfit.steps.metrics import find_metric

_RESAMPLES, _FEWEST, _ROWS = 200, 50, 10_000_000
"""How often at most, and how often at least, the days are drawn; rows drawn in all bound it between."""


def intervals(
    scores: pd.DataFrame, names: Iterable[str], *, confidence: float, seed: int
) -> dict[str, tuple[float, float]]:
    """Return where each of the challenger's metrics lies with some confidence; none for too few days.

    Rows of one day go up and down together, so days are drawn, not rows.

    Args:
        scores: `event_time`, `label` and `challenger` of each row of the holdout.
        names: The metrics.
        confidence: The share of the draws that an interval holds, the rest cut off evenly at both ends.
        seed: Fixes the draws.
    """
    day = pd.to_datetime(scores["event_time"], utc=True).dt.floor("D")
    blocks = list(day.groupby(day, sort=True).indices.values())
    if len(blocks) < FEWEST_DAYS:
        return {}
    label, score = (scores[name].to_numpy(np.float64) for name in ("label", CHALLENGER))
    chance = np.random.default_rng(seed)
    times = int(np.clip(_ROWS // max(len(label), 1), _FEWEST, _RESAMPLES))
    metrics = {name: find_metric(name) for name in names}
    found: Mapping[str, list[float]] = {name: [] for name in metrics}
    for _ in range(times):
        drawn = np.concatenate([blocks[at] for at in chance.integers(len(blocks), size=len(blocks))])
        for name, metric in metrics.items():
            found[name].append(float(metric(label[drawn], score[drawn])))
    limits = {name: _limits(np.array(values), confidence) for name, values in found.items()}
    return {name: both for name, both in limits.items() if both is not None}


def _limits(found: NDArray[np.float64], confidence: float) -> tuple[float, float] | None:
    if not np.isfinite(found).any():
        return None
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(found, [tail, 1 - tail])
    return float(low), float(high)
