"""Expectations of the table: how many rows, which columns, of which types."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keepfit.backends.suite_scan.check import Asked, Check, Verdict
from keepfit.backends.suite_scan.measures import within

_OBJECTS = ("object", "object_", "O")
_NUMPY = {"int": np.int64, "float": np.float64}


def row_count_between(asked: Asked) -> Check | None:
    """Expect a number of rows within limits."""
    return _observed(asked, (asked.rows,), lambda values: int(values[0]), lambda found: within(found, asked))


def row_count_equal(asked: Asked) -> Check | None:
    """Expect exactly so many rows."""
    wanted = asked.kwargs.get("value")
    return _observed(asked, (asked.rows,), lambda values: int(values[0]), lambda found: found == wanted)


def column_count_between(asked: Asked) -> Check | None:
    """Expect a number of columns within limits."""
    return _of_columns(asked, len(asked.columns.listed), met=within(len(asked.columns.listed), asked))


def column_count_equal(asked: Asked) -> Check | None:
    """Expect exactly so many columns."""
    there = len(asked.columns.listed)
    return _of_columns(asked, there, met=there == asked.kwargs.get("value"))


def columns_as_set(asked: Asked) -> Check | None:
    """Expect these columns, in any order."""
    wanted = asked.kwargs["column_set"]
    there = set(asked.columns.listed)
    exact = asked.kwargs.get("exact_match", True)
    met = there == set(wanted) if exact else set(wanted) <= there
    return _of_columns(asked, sorted(there), met=met)


def columns_as_list(asked: Asked) -> Check | None:
    """Expect these columns in this order."""
    there = list(asked.columns.listed)
    return _of_columns(asked, there, met=there == list(asked.kwargs["column_list"]))


def of_type(asked: Asked) -> Check | None:
    """Expect a column of a type of pandas; only what the schema alone can say."""
    wanted = asked.kwargs.get("type_")
    if asked.kind == "text":
        return _of_columns(asked, "object", met=True) if wanted in _OBJECTS else None
    if asked.kind not in _NUMPY or not isinstance(wanted, str):
        return None
    kind = _NUMPY[asked.kind]
    try:
        met = np.dtype(wanted).type is kind
    except TypeError:
        return None
    return _of_columns(asked, kind.__name__, met=met)


def _of_columns(asked: Asked, observed: object, *, met: bool) -> Check:
    return Check(asked.entry, (), lambda _: Verdict(met=met, observed=observed))


def _observed(
    asked: Asked,
    needs: tuple[str, ...],
    figure: Callable[[Sequence[Any]], int],
    met: Callable[[int], bool],
) -> Check:
    return Check(asked.entry, needs, lambda values: Verdict(met=met(figure(values)), observed=figure(values)))
