"""What a policy looks at, and what it answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Word = Literal["retrain", "keep", "insufficient", "blocked"]
Trigger = Literal["drift", "performance", "new_rows", "age", "none"]


@dataclass(frozen=True)
class Champion:
    """The version that is live."""

    version: str
    as_of: datetime | None
    """Up to when its training knew the data; None when nobody recorded it."""


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


@dataclass(frozen=True)
class MissingChange:
    """How the share of missing values of a column moved since training."""

    column: str
    before: float
    now: float


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
    """What no shift in the world explains: a column gone, or text where numbers were."""


@dataclass(frozen=True)
class History:
    """What was trained and asked for before, in data time."""

    retrained: tuple[datetime, ...] = ()
    """The ends of the windows for which other decisions asked for a training."""


@dataclass(frozen=True)
class Signals:
    """All that is known about one window."""

    model: str
    window_end: datetime
    rows: int
    """How many predictions the window holds."""
    champion: Champion | None
    performance: PerformanceSignal | None
    drift: DriftSignal | None
    """None, like the performance, when there is no champion to judge."""
    new_rows: int | None = None
    """Labelled rows that no training has seen."""


@dataclass(frozen=True)
class Verdict:
    """What to do, what called for it, and why in words and numbers."""

    word: Word
    trigger: Trigger
    reason: str
