"""Expectations of one figure of a column: its smallest value, its mean, how many values differ."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from keepfit.backends.suite_scan.arguments import LIMITS
from keepfit.backends.suite_scan.check import Asked, Check, Verdict
from keepfit.backends.suite_scan.literals import is_exact, is_number
from keepfit.backends.suite_scan.rows import ROWS

_NUMBERS = {"int", "float"}
_BEYOND = {"other", "nested"}
_TAME = 1e150
"""Up to here the square of a number is one."""


def smallest(asked: Asked) -> Check | None:
    """Expect the smallest value within limits."""
    return _extreme(asked, "min")


def largest(asked: Asked) -> Check | None:
    """Expect the largest value within limits."""
    return _extreme(asked, "max")


def mean(asked: Asked) -> Check | None:
    """Expect the mean within limits."""
    return _of_numbers(asked, f"avg({asked.column})")


def median(asked: Asked) -> Check | None:
    """Expect the median within limits."""
    return _of_numbers(asked, f"median({asked.column})")


def total(asked: Asked) -> Check | None:
    """Expect the sum within limits; that of nothing is 0.

    That of whole numbers is exact, also where Great Expectations runs over 64 bits.
    """
    if asked.kind == "int":
        return _figure(asked, asked.over(f"sum({asked.column})"), empty=0)
    return _of_numbers(asked, f"sum({asked.column})", empty=0)


def deviation(asked: Asked) -> Check | None:
    """Expect the sample standard deviation within limits."""
    if asked.kind != "float":
        return _of_numbers(asked, f"stddev_samp({asked.column})")
    # The engine refuses the deviation of infinities, of which pandas says NaN, and of what overflows squared.
    size = f"abs({asked.column})"
    tame = asked.over(f"stddev_samp(CASE WHEN {size} < {_TAME} THEN {asked.column} END)")
    return _limited(
        asked,
        (tame, asked.over(f"max({size})")),
        lambda values: None if values[1] == math.inf else values[0],
        known=lambda values: values[1] is None or values[1] < _TAME or values[1] == math.inf,
    )


def different(asked: Asked) -> Check | None:
    """Expect a number of different values within limits."""
    return _figure(asked, _distinct(asked), empty=0) if asked.kind not in _BEYOND else None


def share_of_different(asked: Asked) -> Check | None:
    """Expect a share of different values within limits."""
    if asked.kind in _BEYOND:
        return None
    needs = (_distinct(asked), asked.values)
    return _limited(asked, needs, lambda values: values[0] / values[1] if values[1] else 0)


def _extreme(asked: Asked, aggregate: str) -> Check | None:
    return _figure(asked, asked.over(f"{aggregate}({asked.column})")) if asked.kind in _NUMBERS else None


def _distinct(asked: Asked) -> str:
    where = asked.all_of(f"{asked.column} IS NOT NULL")
    return f"(SELECT count(*) FROM (SELECT 1 FROM {ROWS} WHERE {where} GROUP BY {asked.column}))"


def _of_numbers(asked: Asked, aggregate: str, *, empty: Any = None) -> Check | None:
    if asked.kind == "text":
        return _of_texts(asked, empty)
    if asked.kind not in _NUMBERS:
        return None
    figure = asked.over(aggregate)
    if asked.kind == "float":
        return _figure(asked, figure, empty=empty)
    ends = (asked.over(f"min({asked.column})"), asked.over(f"max({asked.column})"))
    return _limited(asked, (figure, *ends), lambda values: values[0], known=_are_exact)


def _are_exact(values: Sequence[Any]) -> bool:
    # pandas computes with floats.
    return all(each is None or is_exact(each) for each in values[1:])


def _of_texts(asked: Asked, empty: Any) -> Check | None:
    return (
        Check(asked.entry, (asked.values,), partial(_judge_text, empty=empty, asked=asked))
        if _numeric_limits(asked)
        else None
    )


def _judge_text(values: Sequence[Any], *, empty: Any, asked: Asked) -> Verdict:
    if values[0]:
        return Verdict(met=False, trouble="the column holds texts, not numbers")
    return _held(asked, empty)


def _figure(asked: Asked, figure: str, *, empty: Any = None) -> Check | None:
    return _limited(asked, (figure,), lambda values: empty if values[0] is None else values[0])


def _limited(
    asked: Asked,
    needs: tuple[str, ...],
    figure: Callable[[Sequence[Any]], Any],
    *,
    known: Callable[[Sequence[Any]], bool] = lambda _: True,
) -> Check | None:
    if not _numeric_limits(asked):
        return None
    return Check(asked.entry, needs, lambda values: _held(asked, figure(values)) if known(values) else None)


def _numeric_limits(asked: Asked) -> bool:
    limits = [value for name in LIMITS if (value := asked.kwargs.get(name)) is not None]
    return bool(limits) and all(
        is_number(each) and (asked.kind == "float" or is_exact(each)) for each in limits
    )


def _held(asked: Asked, figure: Any) -> Verdict:
    if figure is None or (isinstance(figure, float) and math.isnan(figure)):
        return Verdict(met=False, observed=None)
    return Verdict(met=within(figure, asked), observed=figure)


def within(figure: Any, asked: Asked) -> bool:
    """Tell whether a figure is within an entry's limits."""
    low, high = (None if value is None else float(value) for value in map(asked.kwargs.get, LIMITS))
    above = low is None or (figure > low if asked.kwargs.get("strict_min") else figure >= low)
    below = high is None or (figure < high if asked.kwargs.get("strict_max") else figure <= high)
    return bool(above and below)
