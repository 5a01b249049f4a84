"""Field types shared by the specs."""

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from keepfit.spec.cron import cron_problem

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d+)\s*([smhdw])")
_CALENDAR = timedelta(days=date.max.toordinal())
"""Two durations up to this long can be added."""


class Closed(BaseModel):
    """A frozen model that refuses unknown fields, so a typo is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


def parse_duration(value: object) -> object:
    """Read `14d`, `36h`, `90m`, `2w` as a duration; hand anything else on to Pydantic."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        with suppress(OverflowError):
            if (found := timedelta(**{_UNITS[match[2]]: int(match[1])})) <= _CALENDAR:
                return found
        raise ValueError(f"{value!r} is longer than a calendar")
    if isinstance(value, timedelta):
        return value
    message = f"{value!r} is no duration. Write a number and one of s, m, h, d, w, such as 14d or 36h"
    raise ValueError(message)


def duration_text(value: timedelta) -> str:
    """Write a duration the way `parse_duration` reads it, in the largest unit that fits."""
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise ValueError("must be longer than nothing, such as 14d or 36h")
    return value


def _cron(value: str) -> str:
    if message := cron_problem(value):
        raise ValueError(message)
    return value


def in_utc(value: datetime) -> datetime:
    """Put a time into UTC; one without a zone is UTC already."""
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{value.isoformat()} lies outside the years 1 to 9999 in UTC") from None


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d+\s*[smhdw]$", "examples": ["14d", "36h"]}),
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
Cron = Annotated[
    str, AfterValidator(_cron), WithJsonSchema({"type": "string", "examples": ["@daily", "0 3 * * 1"]})
]
"""A cron expression of five fields, or a preset such as `@daily`."""
Moment = Annotated[datetime, AfterValidator(in_utc)]
"""A point in time; one without a zone is read as UTC."""
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A lower-case name; it becomes part of DAG ids, table names and model names."""
Column = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Share = Annotated[float, Field(ge=0, le=1)]
