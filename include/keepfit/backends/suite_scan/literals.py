"""Values of a suite written in SQL, in the type of the column they are compared with."""

import math
import sys
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime
from typing import Any

from keepfit.backends.engine import literal, moment
from keepfit.backends.suite_scan.rows import Kind

EXACT = 2**53
"""Up to here whole numbers are the same as floats, which Great Expectations compares with."""


def number(value: float) -> str:
    """Write a number; a whole one stays whole."""
    return str(int(value)) if isinstance(value, int) else f"'{value!r}'::DOUBLE"


def is_exact(value: float) -> bool:
    """Tell whether a number is the same as a whole one and as a float, and none beside it is."""
    return abs(value) < EXACT or math.isinf(value)


def is_number(value: Any) -> bool:
    """Tell whether a value is a number that a float can hold; NaN is none."""
    if isinstance(value, float):
        return not math.isnan(value)
    return isinstance(value, int) and abs(value) <= sys.float_info.max


def limit(value: Any, kind: Kind) -> str | None:
    """Write a limit; None if it is not comparable with a column of that kind."""
    if kind == "float":
        return number(float(value)) if is_number(value) else None
    if kind == "int":
        return number(value) if is_number(value) and is_exact(value) else None
    if kind == "text":
        return literal(value) if isinstance(value, str) else None
    if kind in {"zoned time", "plain time"}:
        at = moment_of(value)
        return moment(at, zoned=kind == "zoned time") if at else None
    if kind == "date":
        at = moment_of(value)
        return (
            f"DATE '{at:%Y-%m-%d}'" if at and at == datetime(at.year, at.month, at.day, tzinfo=UTC) else None
        )
    return None


def members(values: Collection[Any], kind: Kind) -> str | None:
    """Write those members of a set that a column of that kind can hold; None for other kinds."""
    if kind == "text":
        return _joined(literal(each) for each in values if isinstance(each, str))
    numbers = [each for each in values if is_number(each)]
    if not all(map(is_exact, numbers)):
        return None
    if kind == "int":
        return _joined(number(int(each)) for each in numbers if math.isfinite(each) and each == int(each))
    return _joined(number(float(each)) for each in numbers) if kind == "float" else None


def _joined(written: Iterable[str]) -> str:
    return ", ".join(written)


def moment_of(value: Any) -> datetime | None:
    """Read a time as UTC, as Great Expectations' door does; None if it is none of ISO 8601."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
