"""What a row may bring for a key or for an on-demand view, by the declared type."""

import reprlib
from collections.abc import Callable, Mapping
from enum import StrEnum


class InputKind(StrEnum):
    """A kind of value, as it is called in front of who has to bring one."""

    TEXT = "a text"
    WHOLE = "a whole number"
    WHOLE_32 = "a whole number of 32 bits"
    NUMBER = "a number"
    FLAG = "true or false"

    def read(self, value: object) -> object:
        """Return a value as the kind has it; a null is of every kind.

        Raises:
            TypeError: It is of another kind.
        """
        found = None if value is None else _READ[self](value)
        if found is None and value is not None:
            raise TypeError(f"must be {self} or null, not {reprlib.repr(value)}.")
        return found


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None


def _whole(bits: int) -> Callable[[object], int | None]:
    limit = 2 ** (bits - 1)

    def read(value: object) -> int | None:
        whole = isinstance(value, float) and value.is_integer()
        if isinstance(value, bool) or not (whole or isinstance(value, int)):
            return None
        found = int(value)  # type: ignore[call-overload]  # one of the two it is
        return found if -limit <= found < limit else None

    return read


_READ: Mapping[InputKind, Callable[[object], object]] = {
    InputKind.TEXT: _text,
    InputKind.WHOLE: _whole(64),
    InputKind.WHOLE_32: _whole(32),
    InputKind.NUMBER: _number,
    InputKind.FLAG: _flag,
}
