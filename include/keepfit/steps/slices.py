"""Cut the holdout into slices, by the values of a column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.errors import TrainingError
from keepfit.spec.gate import SliceSpec
from keepfit.spec.problem import did_you_mean
from keepfit.steps.draws import Draws

MISSING = "(missing)"
_PREFIX = "slice."
_MOST = 200
"""More values than this are no slices but a measure."""


@dataclass(frozen=True)
class Part:
    """One slice of the rows."""

    spec: SliceSpec
    value: str
    rows: NDArray[np.bool_]
    count: int
    days: int
    too_small: str | None
    """Why it is not judged."""


def slice_columns(holdout: pd.DataFrame, specs: Sequence[SliceSpec]) -> dict[str, "pd.Series[str]"]:
    """Return, for each column to slice by, the slice of each row, under the name that `parts` looks for.

    Raises:
        TrainingError: The rows lack the column, or it is a measure rather than a group.
    """
    return {f"{_PREFIX}{each.column}": _values(holdout, each).reset_index(drop=True) for each in specs}


def texts(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Write values as texts, the same whether or not there is a missing one beside them, which is None."""
    found = [None if missing else _text(value) for value, missing in zip(values, values.isna(), strict=True)]
    return pd.Series(found, values.index, dtype=object)


def parts(scores: pd.DataFrame, specs: Sequence[SliceSpec], draws: Draws) -> Iterator[Part]:
    """Yield the slices of scored rows, in the order of columns and values."""
    for spec in specs:
        values = scores[f"{_PREFIX}{spec.column}"].to_numpy()
        for value in sorted(set(values), key=lambda each: (each == MISSING, each)):
            rows = values == value
            count, days = int(rows.sum()), len(np.unique(draws.day[rows]))
            yield Part(spec, str(value), rows, count, days, _too_small(spec, count, days, draws))


def _too_small(spec: SliceSpec, rows: int, days: int, draws: Draws) -> str | None:
    if rows < spec.min_rows:
        return f"{rows:,} rows"
    return f"rows on {days} days" if draws.too_few(days) else None


def _values(holdout: pd.DataFrame, spec: SliceSpec) -> "pd.Series[str]":
    if spec.column not in holdout.columns:
        raise TrainingError(
            f"`evaluate.gate.slices` names the column {spec.column!r}, which the training set lacks."
            f"{did_you_mean(spec.column, map(str, holdout.columns))} It may be a feature, or one of the key "
            "or of `entities.columns`."
        )
    found = holdout[spec.column]
    if spec.edges:
        return _cut(found, spec)
    if (many := found.nunique()) > _MOST:
        raise TrainingError(
            f"`evaluate.gate.slices` names the column {spec.column!r}, which has {many:,} values among the "
            f"{len(found):,} rows of the holdout; at most {_MOST} make slices. Cut a number by `edges`, or "
            "choose a coarser column."
        )
    return texts(found).where(found.notna(), MISSING)


def _cut(found: "pd.Series[Any]", spec: SliceSpec) -> "pd.Series[str]":
    edges = [f"{edge:g}" for edge in spec.edges]
    within = [f"{low} to {high}" for low, high in pairwise(edges)]
    names = np.array([f"below {edges[0]}", *within, f"{edges[-1]} and above"], dtype=object)
    try:
        numbers = pd.to_numeric(found).to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise TrainingError(
            f"`evaluate.gate.slices` cuts the column {spec.column!r} by `edges`, but it holds no numbers "
            f"({error}). Leave the edges out."
        ) from error
    cut = pd.Series(names[np.digitize(numbers, spec.edges)])
    return cut.where(~np.isnan(numbers), MISSING)


def _text(value: Any) -> str:
    # A whole number turns into a float as soon as a value beside it is missing.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
