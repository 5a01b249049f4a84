"""What a calibration found: thresholds for a stated rate of false alarms, and what they would see."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from keepfit.backends.sketches import Sketch


@dataclass(frozen=True)
class Alarm:
    """How a measure behaves while nothing is wrong, and where to sound the alarm."""

    name: str
    """A column, or `share`, `prediction`, `weighted`."""
    windows: int
    """How many quiet windows the threshold is chosen from."""
    used: float | None
    """The threshold that the spec has now; None where it has none."""
    by_chance: float | None
    """How often random halves of one window exceed it."""
    by_time: float | None
    """How often a quiet window exceeds it, held against those before."""
    threshold: float | None
    """The one for the stated rate; None where there are too few windows: `reason` says how many."""
    held_out: float | None
    """How often later windows, from which it was not chosen, exceed it."""
    held_out_windows: int
    reason: str = ""


@dataclass(frozen=True)
class Power:
    """How often a shift of each size is seen at the thresholds chosen."""

    shift: str
    seen: Mapping[str, float]
    """By grade."""
    smallest: float | None
    """From this grade on it is seen in at least 80 % of the windows; None if never."""


@dataclass(frozen=True)
class ColumnCalibration:
    """One column."""

    alarm: Alarm
    powers: tuple[Power, ...]
    jump: float | None
    """Beyond all ways between two windows in a row; None with too few of them."""
    scale: float
    """What ways between windows are measured in: the standard deviation of numbers over all windows."""


@dataclass(frozen=True)
class Calibration:
    """A model's columns and signals."""

    false_alarms: float
    """The stated rate."""
    windows: int
    columns: Mapping[str, ColumnCalibration]
    signals: Mapping[str, Alarm]
    """Of all columns together."""

    @property
    def jumps(self) -> dict[str, float]:
        """Return how far no column goes from one quiet window to the next."""
        return {name: each.jump for name, each in self.columns.items() if each.jump is not None}

    def distance(self, one: "Sketch", other: "Sketch", column: str) -> float | None:
        """Return the way from one window to the next; None where one has no values or is of another kind."""
        return way(one, other, self.columns[column].scale)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON; `of_json` reads it back."""
        return asdict(self)

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        columns = {name: _column(each) for name, each in stored["columns"].items()}
        signals = {name: Alarm(**each) for name, each in stored["signals"].items()}
        return cls(**{**stored, "columns": columns, "signals": signals})


def way(one: "Sketch", other: "Sketch", scale: float) -> float | None:
    """Measure how far two windows are apart: numbers by Wasserstein, in `scale`; else by Jensen-Shannon."""
    from keepfit.steps.distances import measure

    if not one.n or not other.n or one.kind != other.kind or one.kind is None:
        return None
    if one.kind == "category":
        return measure(one, other, "jensenshannon").score
    if not scale or not isfinite(scale):
        return None
    # The score is in standard deviations of the one window, which may be a calm one.
    return measure(one, other, "wasserstein").score * (one.std or 0.001) / scale


def _column(stored: Mapping[str, Any]) -> ColumnCalibration:
    powers = tuple(Power(**each) for each in stored["powers"])
    return ColumnCalibration(**{**stored, "alarm": Alarm(**stored["alarm"]), "powers": powers})
