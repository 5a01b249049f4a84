"""What a request's key becomes in the prediction log: the same key in its column's kind, or nothing."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from keepfit.backends.input_kind import InputKind


def logged_key(value: object, kind: str) -> object:
    """Return a key as its column has it; a null is of every kind.

    Whole numbers become text in a column of texts, and a whole float a whole number in one of those.

    Raises:
        TypeError: It would be another key, or none.
    """
    if value is None:
        return None
    return _READ.get(kind, _number)(value)


def _text(value: object) -> object:
    return str(value) if type(value) is int else InputKind.TEXT.read(value)


def _number(value: object) -> object:
    return value if type(value) is float else _same(value, InputKind.NUMBER.read(value))


def _same(value: object, read: object) -> object:
    if isinstance(value, bool) or read != value:
        raise TypeError(f"must be a number or null that a float holds exactly, not {value!r:.40}.")
    return read


def _moment(value: object) -> object:
    found = value if isinstance(value, datetime) else _iso(value, datetime.fromisoformat)
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise TypeError(f"must be a moment with its zone, such as 2024-05-06T12:00:00Z, not {value!r:.40}.")
    return found.astimezone(UTC)


def _day(value: object) -> object:
    found = value if type(value) is date else _iso(value, date.fromisoformat)
    if found is None:
        raise TypeError(f"must be a day, such as 2024-05-06, not {value!r:.40}.")
    return found


def _iso(value: object, read: Callable[[str], object]) -> object:
    try:
        return read(value) if isinstance(value, str) else None
    except ValueError:
        return None


_READ: Mapping[str, Callable[[object], object]] = {
    "string": _text,
    "int64": InputKind.WHOLE.read,
    "bool": InputKind.FLAG.read,
    "timestamp": _moment,
    "date": _day,
}
