"""What a policy looks at, and what it answers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, Self

Word = Literal["retrain", "keep", "insufficient", "blocked", "held"]


@dataclass(frozen=True)
class Champion:
    """The version that is live."""

    version: str
    as_of: datetime | None
    """Up to when its training knew the data; None when nobody recorded it."""


@dataclass(frozen=True)
class Score:
    """One number about a window, and what it would be if nothing had changed."""

    value: float | None = None
    """None when it could not be measured; `reason` says why."""
    noise: float | None = None
    """What chance alone brings it to; None where nobody knows."""
    reason: str = "not measured"


@dataclass(frozen=True)
class PerformanceSignal:
    """How the champion does on rows whose labels have matured."""

    metric: str
    higher_is_better: bool
    rows: int
    value: float | None
    """None when it could not be measured; `reason` says why."""
    holdout: float | None
    """The champion's value on its own holdout."""
    reason: str = ""
    noise: float | None = None
    """The standard error of the value."""
    baseline: float | None = None
    """What the mean label of that holdout, given to every row, comes to on the same rows; None if unknown."""
    baseline_noise: float | None = None
    """How far the two are apart by chance alone, with the gate's confidence."""


@dataclass(frozen=True)
class RegretSignal:
    """How much better a fresh challenger does than the champion on the same newly labelled rows."""

    value: float | None
    """In units of the objective, positive where the challenger is better; None: `reason` says why."""
    noise: float | None = None
    """Its standard error."""
    rows: int = 0
    reason: str = ""


@dataclass(frozen=True)
class MissingChange:
    """How the share of missing values of a column moved since training."""

    column: str
    before: float
    now: float
    noise: float = 0.0
    """So far apart the two shares are by luck alone."""


@dataclass(frozen=True)
class DriftSignal:
    """How far the window's features are from those of the training."""

    rows: int
    columns: int
    """How many were compared."""
    drifted: tuple[str, ...]
    share: float | None
    """None when it could not be measured; `reason` says why."""
    reason: str = ""
    missing: tuple[MissingChange, ...] = ()
    """Columns whose share of missing values moved noticeably."""
    broken: tuple[str, ...] = ()
    """What no shift in the world explains: a column gone, text where numbers were, another unit."""
    weighted: Score = Score()
    """The columns' scores, each weighed by its importance to the champion."""
    jumped: tuple[str, ...] = ()
    """Columns that moved from the window before as no two quiet windows do."""


@dataclass(frozen=True)
class Signals:
    """All that is known about one window, under one champion."""

    model: str
    window_start: datetime
    window_end: datetime
    rows: int
    """How many predictions the window holds."""
    champion: Champion | None
    performance: PerformanceSignal | None
    drift: DriftSignal | None
    """None, like the performance, when there is no champion to judge."""
    prediction: Score = Score()
    """How far the champion's scores are from those of its holdout."""
    regret: RegretSignal | None = None
    calibration: Score = Score()
    """The champion's calibration error on matured labels."""
    estimate: Score = Score()
    """The objective as estimated without labels."""
    new_rows: int | None = None
    """Labelled rows that no training has seen."""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON; `of_json` reads it back."""
        moments = {name: getattr(self, name).isoformat() for name in ("window_start", "window_end")}
        told = asdict(self) | moments
        if self.champion and self.champion.as_of:
            told["champion"] = told["champion"] | {"as_of": self.champion.as_of.isoformat()}
        return told

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        moments = {name: datetime.fromisoformat(stored[name]) for name in ("window_start", "window_end")}
        read = {name: kind(stored.get(name)) for name, kind in _READ.items()}
        known = {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}
        return cls(**known | moments | read)


@dataclass(frozen=True)
class CommonCause:
    """A source that several models lean on moved at once; a person is asked what it is."""

    view: str
    columns: tuple[str, ...]
    models: tuple[str, ...]
    key: str
    """The incident's."""
    answer: str = ""
    """What somebody said that the incident is; empty while it asks."""


@dataclass(frozen=True)
class History:
    """What was trained and asked for before, in data time."""

    retrained: tuple[datetime, ...] = ()
    """The ends of the windows for which other decisions asked for a training."""
    refused: tuple[tuple[datetime, str], ...] = ()
    """Up to when the last trainings in a row that the gate refused knew the data, and what asked for each."""
    fleet: tuple[datetime, ...] = ()
    """As `retrained`, of all models of the project together."""
    waiting: tuple[datetime, ...] = ()
    """The ends of the windows for which other models' trainings wait for an answer, one of each model."""
    common: CommonCause | None = None


@dataclass(frozen=True)
class FleetLimit:
    """How many trainings by signal all models together may start within a stretch of data time."""

    budget: int | None = None
    period_days: float = 7.0


@dataclass(frozen=True)
class Verdict:
    """What to do, which rule called for it, and why in words and numbers."""

    word: Word
    trigger: str
    reason: str
    restrained: str = ""
    """Of a training that is held: what keeps it back even if its cause is real."""


def _champion(stored: Mapping[str, Any] | None) -> Champion | None:
    if stored is None:
        return None
    as_of = stored["as_of"]
    return Champion(stored["version"], datetime.fromisoformat(as_of) if as_of else None)


def _drift(stored: Mapping[str, Any] | None) -> DriftSignal | None:
    if stored is None:
        return None
    lists = {name: tuple(stored[name]) for name in ("drifted", "broken", "jumped")}
    missing = tuple(MissingChange(**each) for each in stored["missing"])
    return DriftSignal(**{**stored, **lists, "missing": missing, "weighted": _score(stored["weighted"])})


def _score(stored: Mapping[str, Any] | None) -> Score:
    return Score(**stored) if stored else Score()


def _performance(stored: Mapping[str, Any] | None) -> PerformanceSignal | None:
    return PerformanceSignal(**stored) if stored else None


def _regret(stored: Mapping[str, Any] | None) -> RegretSignal | None:
    return RegretSignal(**stored) if stored else None


_READ: Mapping[str, Any] = {
    "champion": _champion,
    "performance": _performance,
    "drift": _drift,
    "prediction": _score,
    "regret": _regret,
    "calibration": _score,
    "estimate": _score,
}
