"""What the ledger holds: one frozen record per row. Times are UTC; `*_at` stamps are for audit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

from keepfit.errors import LedgerError
from keepfit.spec import Window

Verdict = Literal["retrain", "keep", "insufficient", "blocked", "held"]


def decision_key(model: str, policy_version: str, window: Window) -> str:
    """Name the one decision that a model's policy makes about a window."""
    return f"{model}:{policy_version}:{window.key}"


def incident_key(view: str, window: Window) -> str:
    """Name the one incident of a feature view in a window."""
    return f"{view}:{window.key}"


def train_run_id(window: Window) -> str:
    """Derive the id of the training run that a decision about a window asks for.

    Asking twice starts one run, also where two policies ask at once and neither knows of the other.
    """
    return f"decision__{window.key}"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class _Record:
    """Keeps every time of a record in UTC, however it was given."""

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if isinstance(value, datetime):
                if value.tzinfo is None:
                    raise LedgerError(
                        f"{type(self).__name__}.{name} is {value}, which has no time zone. Give it one: UTC."
                    )
                object.__setattr__(self, name, value.astimezone(UTC))
            elif isinstance(value, list):
                object.__setattr__(self, name, tuple(value))


@dataclass(frozen=True)
class Publication(_Record):
    """A window of a dataset (or of a model's predictions) became visible."""

    dataset: str
    window_start: datetime | None
    """None for a snapshot: the whole table, standing for all time."""
    window_end: datetime | None
    """For a snapshot, the end of the window in which it was taken."""
    rows: int
    digest: str
    version: int
    """The table's version that holds it."""
    run_id: str
    published_at: datetime = field(default_factory=_now)

    @property
    def window(self) -> Window | None:
        """The published window; None for a snapshot."""
        if self.window_start is None or self.window_end is None:
            return None
        return Window(self.window_start, self.window_end)


@dataclass(frozen=True)
class Decision(_Record):
    """What a model's policy said about a window, and on what evidence."""

    key: str
    model: str
    policy_version: str
    window_start: datetime
    window_end: datetime
    verdict: Verdict
    trigger: str
    """What called: a rule of the policy by its name, `feature_change`, or `none`."""
    reason: str
    evidence: Mapping[str, Any]
    run_id: str | None
    """The training run it asks for; None unless the verdict is `retrain`."""
    decided_by: str
    decided_at: datetime = field(default_factory=_now)
    incident_key: str | None = None
    """The incident that holds it."""

    @property
    def window(self) -> Window:
        """The window decided about."""
        return Window(self.window_start, self.window_end)

    @property
    def incidents(self) -> tuple[str, ...]:
        """The keys of all incidents it is part of, the widest first."""
        return tuple(self.evidence.get("incidents", filter(None, [self.incident_key])))

    @property
    def restrained(self) -> str:
        """Say what keeps a held training back even if its cause is real; nothing where the answer decides."""
        return str(self.evidence.get("restrained", ""))

    @property
    def conf(self) -> dict[str, str]:
        """What the training that it asks for is started with."""
        return {"as_of": self.window_end.isoformat(), "reason": self.reason, "decision": self.key}


@dataclass(frozen=True)
class Training(_Record):
    """How a training run ended."""

    run_id: str
    model: str
    decision_key: str | None
    as_of: datetime
    version: str | None
    verdict: Literal["pass", "fail", "undecided", "error"]
    reasons: tuple[str, ...]
    metrics: Mapping[str, float | None]
    pins_sha256: str | None = None
    """The SHA-256 of the record its version can be rebuilt from."""
    recorded_at: datetime = field(default_factory=_now)


@dataclass(frozen=True)
class Deployment(_Record):
    """An alias moved from one version of a model to another, or answers another share than before."""

    model: str
    alias: str
    from_version: str | None
    to_version: str | None
    """None: the alias was taken away."""
    who: str
    why: str
    decision_key: str | None
    run_id: str
    share: float | None = None
    """The part of the requests that a challenger answers; 0: none, it is scored beside (a shadow)."""
    moved_at: datetime = field(default_factory=_now)


@dataclass(frozen=True)
class Approval(_Record):
    """Someone said whether a version may go live, or nobody did in time."""

    model: str
    version: str
    run_id: str
    """The training run that asked."""
    answer: Literal["approved", "rejected"]
    who: str
    why: str
    """Empty where no reason was given."""
    answered_at: datetime


@dataclass(frozen=True)
class Ruling(_Record):
    """Someone said what becomes of a row in quarantine."""

    dataset: str
    row_key: str
    digest: str
    """The row's values: one that comes again with others is another row."""
    window: str
    """The key of the window the row is of."""
    ruling: Literal["released", "dropped"]
    who: str
    run_id: str
    ruled_at: datetime = field(default_factory=_now)


@dataclass(frozen=True)
class Incident(_Record):
    """A cause that several models have in common: it holds their trainings until somebody answers."""

    key: str
    view: str
    window_start: datetime
    window_end: datetime
    columns: tuple[str, ...]
    models: int
    """How many models lean on what is suspect."""
    reason: str
    opened_by: str
    opened_at: datetime = field(default_factory=_now)

    @property
    def window(self) -> Window:
        """The window in which it was seen."""
        return Window(self.window_start, self.window_end)


@dataclass(frozen=True)
class IncidentAnswer(_Record):
    """Someone said what an incident was: a fault of the data, or a change of the world."""

    incident_key: str
    answer: Literal["fault", "real"]
    who: str
    why: str
    answered_at: datetime = field(default_factory=_now)
    kept_back: Mapping[str, str] | None = None
    """The held decisions that are not trained though they are called real, by their keys, and why."""


@dataclass(frozen=True)
class Outcome(_Record):
    """How well a version did in a window, by one metric."""

    model: str
    version: str
    role: str
    """What the version was then: `champion` or `challenger`."""
    window_start: datetime
    window_end: datetime
    metric: str
    value: float | None
    """None where it is no number."""
    rows: int
    """The labelled rows it was measured on."""
    maturity: float | None
    """The share of the window's predictions whose labels were known."""
    run_id: str
    """The run that measured it."""
    recorded_at: datetime = field(default_factory=_now)

    def __post_init__(self) -> None:
        """Take what is no number for no value: PostgreSQL would keep it, SQLite not."""
        super().__post_init__()
        for name in ("value", "maturity"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                object.__setattr__(self, name, None)
