"""Is an argument one that means the same here and in Great Expectations, which coerces or refuses others?"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from keepfit.backends.suite_scan.literals import EXACT, is_number, moment_of

LIMITS = ("min_value", "max_value")


def meant_alike(kwargs: Mapping[str, Any]) -> bool:
    """Tell whether arguments are of the types that Great Expectations takes as they are."""
    return all(_ALIKE[name](value) for name, value in kwargs.items() if name in _ALIKE)


def limits_alike(kwargs: Mapping[str, Any], *, whole: bool) -> bool:
    """Tell whether limits are in order, and of one type; `whole` where Great Expectations cuts fractions."""
    given = [value for name in LIMITS if (value := kwargs.get(name)) is not None]
    if whole:
        return all(_is_whole(each) for each in given) and given == sorted(given)
    if all(is_number(each) for each in given):
        return given == sorted(given)
    if not all(isinstance(each, str | date) for each in given):
        return False
    moments = [at for each in given if (at := moment_of(each)) is not None]
    return len(moments) == len(given) and moments == sorted(moments)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < EXACT


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple | set) and all(isinstance(each, str) for each in value)


_ALIKE: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("column", "column_A", "column_B", "regex", "type_", "ignore_row_if"), _is_text),
    **dict.fromkeys(("strict_min", "strict_max", "or_equal", "exact_match"), _is_flag),
    **dict.fromkeys(("column_list", "column_set"), _are_names),
    "mostly": _is_share,
    "value": _is_whole,
}
