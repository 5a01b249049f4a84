"""Values of a suite written in SQL, in the type of the column they are compared with."""

import math
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from keepfit.backends.engine import literal, moment
from keepfit.backends.suite_scan.rows import Kind


def number(value: float) -> str:
    """Write a number; a whole one stays whole."""
    return str(int(value)) if isinstance(value, int) else f"'{value!r}'::DOUBLE"


def limit(value: Any, kind: Kind) -> str | None:
    """Write a limit; None if it is not comparable with a column of that kind."""
    if kind in {"int", "float"}:
        return number(value) if _is_number(value) and not math.isnan(value) else None
    if kind == "text":
        return literal(value) if isinstance(value, str) else None
    if kind in {"zoned time", "plain time"}:
        at = _moment(value)
        return moment(at, zoned=kind == "zoned time") if at else None
    if kind == "date":
        at = _moment(value)
        return (
            f"DATE '{at:%Y-%m-%d}'" if at and at == datetime(at.year, at.month, at.day, tzinfo=UTC) else None
        )
    return None


def members(values: Iterable[Any], kind: Kind) -> str | None:
    """Write those members of a set that a column of that kind can hold; None for other kinds."""
    if kind == "int":
        return _joined(
            number(int(each))
            for each in values
            if _is_number(each) and math.isfinite(each) and each == int(each)
        )
    if kind == "float":
        return _joined(number(float(each)) for each in values if _is_number(each) and not math.isnan(each))
    if kind == "text":
        return _joined(literal(each) for each in values if isinstance(each, str))
    return None


def _joined(written: Iterable[str]) -> str:
    return ", ".join(written)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _moment(value: Any) -> datetime | None:
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
