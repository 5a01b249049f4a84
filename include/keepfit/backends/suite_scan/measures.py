"""Expectations of one figure of a column: its smallest value, its mean, how many values differ."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from keepfit.backends.suite_scan.check import Asked, Check, Verdict
from keepfit.backends.suite_scan.rows import ROWS

_NUMBERS = {"int", "float"}


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
    """Expect the sum within limits; that of nothing is 0."""
    return _of_numbers(asked, f"sum({asked.column}::DOUBLE)", empty=0)


def deviation(asked: Asked) -> Check | None:
    """Expect the sample standard deviation within limits."""
    if asked.kind == "float":
        # The engine refuses a deviation of infinities; pandas says NaN.
        finite = f"CASE WHEN isfinite({asked.column}) THEN {asked.column} END"
        endless = asked.over(f"bool_or(isinf({asked.column}))")
        return _of_numbers(asked, f"stddev_samp({finite})", spoilt_by=endless)
    return _of_numbers(asked, f"stddev_samp({asked.column})")


def different(asked: Asked) -> Check | None:
    """Expect a number of different values within limits."""
    return _figure(asked, _distinct(asked), empty=0) if asked.kind != "other" else None


def share_of_different(asked: Asked) -> Check | None:
    """Expect a share of different values within limits."""
    if asked.kind == "other":
        return None
    needs = (_distinct(asked), asked.values)
    return _limited(asked, needs, lambda values: values[0] / values[1] if values[1] else 0)


def _extreme(asked: Asked, aggregate: str) -> Check | None:
    return _figure(asked, asked.over(f"{aggregate}({asked.column})")) if asked.kind in _NUMBERS else None


def _distinct(asked: Asked) -> str:
    where = asked.all_of(f"{asked.column} IS NOT NULL")
    return f"(SELECT count(*) FROM (SELECT 1 FROM {ROWS} WHERE {where} GROUP BY {asked.column}))"


def _of_numbers(
    asked: Asked, aggregate: str, *, empty: Any = None, spoilt_by: str | None = None
) -> Check | None:
    if asked.kind == "text":
        return Check(asked.entry, (asked.values,), partial(_judge_text, empty=empty, asked=asked))
    if asked.kind not in _NUMBERS:
        return None
    figure = asked.over(aggregate)
    if spoilt_by is None:
        return _figure(asked, figure, empty=empty)
    return _limited(asked, (figure, spoilt_by), lambda values: None if values[1] else values[0])


def _judge_text(values: Sequence[Any], *, empty: Any, asked: Asked) -> Verdict:
    if values[0]:
        return Verdict(met=False, trouble="the column holds texts, not numbers")
    return _held(asked, empty)


def _figure(asked: Asked, figure: str, *, empty: Any = None) -> Check | None:
    return _limited(asked, (figure,), lambda values: empty if values[0] is None else values[0])


def _limited(asked: Asked, needs: tuple[str, ...], figure: Callable[[Sequence[Any]], Any]) -> Check | None:
    limits = [asked.kwargs.get(name) for name in ("min_value", "max_value")]
    if not all(each is None or isinstance(each, int | float) for each in limits):
        return None
    return Check(asked.entry, needs, lambda values: _held(asked, figure(values)))


def _held(asked: Asked, figure: Any) -> Verdict:
    if figure is None or (isinstance(figure, float) and math.isnan(figure)):
        return Verdict(met=False, observed=None)
    return Verdict(met=within(figure, asked), observed=figure)


def within(figure: Any, asked: Asked) -> bool:
    """Tell whether a figure is within an entry's limits."""
    low, high = asked.kwargs.get("min_value"), asked.kwargs.get("max_value")
    above = low is None or (figure > low if asked.kwargs.get("strict_min") else figure >= low)
    below = high is None or (figure < high if asked.kwargs.get("strict_max") else figure <= high)
    return bool(above and below)
