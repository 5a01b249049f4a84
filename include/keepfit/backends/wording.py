"""How a report says what was found, the same whoever looked."""

from collections.abc import Iterable, Mapping
from typing import Any

EXAMPLES = 3
ONLY_EMPTY = "passes only because the column has no values"
_LONGEST = 160
_SMALLEST = 0.001
_WHERE = ("column", "column_A", "column_B", "column_list")


def rows_said(count: int, of: int, examples: Iterable[object], kwargs: Mapping[str, Any]) -> str:
    """Say how many rows fail, with a few of their values."""
    share = f"{count / of:.1%}" if count / of >= _SMALLEST else "under 0.1%"
    return f"{count:,} of {of:,} rows ({share}){_examples(examples)}{_expected(kwargs)}"


def observed_said(value: object, examples: Iterable[object], kwargs: Mapping[str, Any]) -> str:
    """Say what was observed in place of what is expected."""
    return f"observed {short(value)}{_examples(examples)}{_expected(kwargs)}"


def unlookable(why: object) -> str:
    """Say that an expectation could not be looked at."""
    return f"could not be looked at: {short(why)}"


def short(value: object) -> str:
    """Put a value on one line, cut if it is long."""
    said = " ".join(str(value).split())
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 3]}..."


def _examples(values: Iterable[object]) -> str:
    distinct = list(dict.fromkeys(map(str, values)))[:EXAMPLES]
    return f", such as {short(', '.join(distinct))}" if distinct else ""


def _expected(kwargs: Mapping[str, Any]) -> str:
    wanted = ", ".join(f"{name} {value}" for name, value in kwargs.items() if name not in _WHERE)
    return f" (expected: {short(wanted)})" if wanted else ""
