"""The stretch of event time a run works on."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from keepfit.errors import ConfError
from keepfit.spec.fields import in_utc

_KEY = "%Y%m%dT%H%M%SZ"
_DAY = timedelta(days=1)
_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, order=True)
class Window:
    """A half-open stretch of event time, `[start, end)`, in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        """Refuse a window without a zone, too fine for its key, reversed or empty."""
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ConfError(f"The window {self.start} to {self.end} has no time zone. Write it in UTC.")
        if self.start.microsecond or self.end.microsecond:
            raise ConfError(
                f"The window {self.start} to {self.end} has parts of a second. Give whole seconds."
            )
        if self.start >= self.end:
            raise ConfError(
                f"The window starts at {self.start.isoformat()} and ends at {self.end.isoformat()}: "
                "its end must be later than its start. Swap or correct the two."
            )

    @property
    def key(self) -> str:
        """Name the window in run ids, partition keys and the ledger."""
        return f"{_key(self.start)}_{_key(self.end)}"

    @classmethod
    def of_key(cls, key: str) -> Self:
        """Read a window back from its key."""
        try:
            start, end = (datetime.strptime(part, _KEY).replace(tzinfo=UTC) for part in key.split("_"))
        except ValueError:
            raise ConfError(
                f"{key!r} names no window. A window's key looks like 20130101T000000Z_20130108T000000Z."
            ) from None
        return cls(start, end)

    @classmethod
    def parse(cls, start: str, end: str) -> Self:
        """Read a window from two ISO 8601 texts; one without a zone is UTC."""
        return cls(parse_moment(start, "The window's start"), parse_moment(end, "The window's end"))

    def shifted(self, by: timedelta) -> Self:
        """Return the window moved by a duration.

        Raises:
            ConfError: No calendar goes so far.
        """
        what = f"The window {self.key}, moved by {by / _DAY:+g} days,"
        return type(self)(moved(self.start, by, what), moved(self.end, by, what))

    def reaching_back(self, by: timedelta) -> Self:
        """Return the window with its start moved back by a duration, to the year 1 at the earliest."""
        return type(self)(self.start - min(by, self.start - _FIRST), self.end)

    def overlaps(self, other: Self) -> bool:
        """Tell whether a moment lies in both."""
        return self.start < other.end and other.start < self.end

    def contains(self, other: Self) -> bool:
        """Tell whether all of the other lies in this one."""
        return self.start <= other.start and other.end <= self.end

    def refuse_future(self, now: datetime) -> None:
        """Refuse a window that has not ended yet."""
        if self.end > now:
            raise ConfError(
                f"The window ends at {self.end.isoformat()}, which is in the future "
                f"(it is {now.isoformat()}). Its data is not complete yet; choose a window that has ended."
            )


def moved(moment: datetime, by: timedelta, what: str) -> datetime:
    """Return a moment moved by a duration.

    Args:
        moment: The moment.
        by: The duration.
        what: What this is, for the error.

    Raises:
        ConfError: No calendar goes so far.
    """
    try:
        return moment + by
    except OverflowError:
        raise ConfError(
            f"{what} lies outside the years 1 to 9999. Choose another time, or a shorter duration."
        ) from None


def parse_moment(text: str, what: str) -> datetime:
    """Read an ISO 8601 text; one without a zone is UTC."""
    try:
        return in_utc(datetime.fromisoformat(text))
    except ValueError:
        raise ConfError(
            f"{what} is {text!r}, which is no ISO 8601 time. Write it like 2013-01-01T00:00:00Z."
        ) from None


def _key(moment: datetime) -> str:
    # strftime writes the year 1 as `1`, which strptime does not read.
    text = moment.astimezone(UTC).isoformat(timespec="seconds")
    return f"{text[:19].replace('-', '').replace(':', '')}Z"
