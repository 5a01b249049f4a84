"""Compare two models on the same rows, with how sure the difference is."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.steps.draws import Draws, Estimate
from keepfit.steps.evaluate import CHALLENGER, CHAMPION
from keepfit.steps.metrics import measure


@dataclass(frozen=True)
class Comparison:
    """The challenger's objective less the champion's, and where the true difference lies."""

    difference: float
    low: float
    high: float
    days: int
    block: int = 1
    """How many days in a row were drawn at once."""

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read it back; null stands for what is no number."""
        read: dict[str, Any] = {name: math.nan if value is None else value for name, value in stored.items()}
        return cls(**read)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, which has no NaN."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}


def compare(
    scores: pd.DataFrame,
    metric: str,
    draws: Draws,
    confidence: float,
    *,
    rows: NDArray[np.bool_] | None = None,
    days: int | None = None,
) -> Estimate:
    """Tell how far the challenger's metric is from the champion's; both see the same draws of days.

    Args:
        scores: `event_time`, `label`, `challenger`, `champion`.
        metric: What to compare by.
        draws: Draws of the rows' days.
        confidence: The chance that the interval holds the true difference.
        rows: Which rows, if not all.
        days: On how many days those lie.
    """
    label, ours, theirs = (scores[name].to_numpy(np.float64) for name in ("label", CHALLENGER, CHAMPION))
    chosen = slice(None) if rows is None else rows
    values = [measure((metric,), label[chosen], each[chosen])[metric] for each in (ours, theirs)]
    drawn = draws.of(metric, label, ours, rows) - draws.of(metric, label, theirs, rows)
    return draws.estimate(values[0] - values[1], drawn, confidence, days)
