"""Choose thresholds on a model's own windows, for a stated rate of false alarms, and say what they would see.

Each window is held against all windows before it, as by a champion that was trained just then. The first two
thirds choose the thresholds, and the rest shows what rate they keep to. A quiet past is assumed: what shifted
in it counts as noise, and makes the thresholds wider.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from keepfit.errors import ConfError
from keepfit.spec.window import Window
from keepfit.steps.alarms import alarm_of
from keepfit.steps.calibration import Alarm, Calibration
from keepfit.steps.quiet_column import QuietColumn

if TYPE_CHECKING:
    from keepfit.backends.sketches import Sketch
    from keepfit.spec.model import DriftSpec

SCORE = "score"
"""The column of the champion's predictions."""


@dataclass(frozen=True)
class Quiet:
    """A window's columns, in two random halves of its rows."""

    window: Window
    halves: "tuple[Mapping[str, Sketch], Mapping[str, Sketch]]"

    @cached_property
    def whole(self) -> "Mapping[str, Sketch]":
        """All of its rows."""
        one, other = self.halves
        return {name: each.merge(other[name]) for name, each in one.items() if name in other}


def calibrate(
    windows: Sequence[Quiet],
    drift: "DriftSpec | None",
    false_alarms: float,
    used: Mapping[str, float] | None = None,
    importance: Mapping[str, float] | None = None,
) -> Calibration:
    """Find how measures behave while nothing is wrong.

    Args:
        windows: In the order of time, without those that were broken.
        drift: By which method and threshold columns are compared now.
        false_alarms: In what share of quiet windows an alarm may sound.
        used: The thresholds that the policy has now, for `share`, `prediction` and `weighted`.
        importance: How much each column weighs for the champion.

    Raises:
        ConfError: Windows overlap, or the rate is none.
    """
    _refuse(windows, false_alarms)
    looked = {name: QuietColumn.of(name, pairs, drift, false_alarms) for name, pairs in _by_column(windows)}
    columns = {name: each.calibrated() for name, each in looked.items()}
    features = {name: each for name, each in looked.items() if name != SCORE}
    signals = _together(features, false_alarms, used or {}, importance or {})
    if SCORE in columns:
        score = looked[SCORE]
        limit = (used or {}).get("prediction")
        signals["prediction"] = alarm_of("prediction", score.scores, score.by_chance, limit, false_alarms)
    return Calibration(false_alarms, len(windows), columns, signals)


def _by_column(windows: Sequence[Quiet]) -> "Iterator[tuple[str, list[tuple[Sketch, Sketch]]]]":
    """Yield the columns that every window has."""
    for name in windows[0].halves[0] if windows else ():
        if all(name in half for each in windows for half in each.halves):
            yield name, [(each.halves[0][name], each.halves[1][name]) for each in windows]


def _together(
    features: Mapping[str, QuietColumn],
    false_alarms: float,
    used: Mapping[str, float],
    importance: Mapping[str, float],
) -> dict[str, Alarm]:
    """Calibrate what is said of all columns together, on those with a value in every window."""
    windows = max((len(each.scores) for each in features.values()), default=0)
    full = {name: each for name, each in features.items() if windows and len(each.scores) == windows}
    if not full:
        return {}
    halves = min(len(each.by_chance) for each in full.values())
    by_time = np.array([each.scores for each in full.values()])
    by_chance = np.array([each.by_chance[:halves] for each in full.values()])
    limits = np.array([[each.used] for each in full.values()])
    found = {
        "share": alarm_of(
            "share",
            (by_time >= limits).mean(axis=0).tolist(),
            (by_chance >= limits).mean(axis=0).tolist(),
            used.get("share"),
            false_alarms,
        )
    }
    weights = [importance.get(name, 0.0) for name in full]
    if sum(weights):
        # As the signal itself: 1 stands for a column that is just at its threshold.
        found["weighted"] = alarm_of(
            "weighted",
            np.average(by_time / limits, axis=0, weights=weights).tolist(),
            np.average(by_chance / limits, axis=0, weights=weights).tolist(),
            used.get("weighted"),
            false_alarms,
        )
    return found


def _refuse(windows: Sequence[Quiet], false_alarms: float) -> None:
    if not 0 < false_alarms < 1:
        raise ConfError(
            f"A rate of false alarms of {false_alarms:g} is none. Give one between 0 and 1, as 0.05."
        )
    for one, other in pairwise(windows):
        if one.window.end > other.window.start:
            raise ConfError(
                f"The windows {one.window.key} and {other.window.key} overlap or are out of order: "
                "their rows would be held against themselves. Give windows one after the other."
            )
