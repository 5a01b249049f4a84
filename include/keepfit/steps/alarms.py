"""Where to sound an alarm, so that it seldom sounds while nothing is wrong."""

from collections.abc import Sequence
from math import ceil

import numpy as np

from keepfit.steps.calibration import Alarm

CHOSEN_ON = 2 / 3
"""The share of the windows that choose a threshold; the later ones try it."""
Scores = Sequence[float]


def needed(false_alarms: float) -> int:
    """Return how many quiet windows a threshold takes that is exceeded this seldom."""
    return ceil(1 / false_alarms - 1 - 1e-9)


def chosen_on(windows: int) -> int:
    """Return how many of the windows, the first, choose thresholds."""
    return round(windows * CHOSEN_ON)


def alarm_of(name: str, scores: Scores, by_chance: Scores, used: float | None, false_alarms: float) -> Alarm:
    """Choose a threshold on the first scores, and try it on the rest.

    Args:
        name: Of the measure.
        scores: Of quiet windows, in the order of time.
        by_chance: Of random halves of windows.
        used: The threshold there is now.
        false_alarms: How often the new one may be exceeded.
    """
    cut = chosen_on(len(scores))
    threshold = threshold_of(scores[:cut], false_alarms)
    enough = needed(false_alarms)
    few = f"{cut} windows to choose from, {enough} needed for false alarms in {false_alarms:.3g} of them"
    return Alarm(
        name=name,
        windows=cut,
        used=used,
        by_chance=_share(np.greater_equal, by_chance, used),
        by_time=_share(np.greater_equal, scores, used),
        threshold=threshold,
        held_out=_share(np.greater, scores[cut:], threshold),
        held_out_windows=len(scores) - cut,
        reason="" if threshold is not None else f"insufficient data: {few}",
    )


def threshold_of(scores: Scores, false_alarms: float) -> float | None:
    """Return what the next score exceeds with the stated chance, if all come from one source (conformal)."""
    at = ceil((len(scores) + 1) * (1 - false_alarms) - 1e-9)
    if not scores or at > len(scores):
        return None
    return float(np.sort(scores)[at - 1])


def _share(beyond: np.ufunc, scores: Scores, limit: float | None) -> float | None:
    # A rule fires at its threshold; the one that is chosen has been reached by quiet windows.
    return float(np.mean(beyond(scores, limit))) if scores and limit is not None else None
