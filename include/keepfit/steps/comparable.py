"""Make a column of two frames comparable, or say what is wrong with it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from keepfit.policy import MissingChange

Values = pd.Series  # numbers or texts
TOP = 100
"""A column with more categories than this keeps the reference's most frequent ones."""
OTHER = "(other)"
NOTICEABLE = 0.05
"""A share of missing values that moved by so much is worth a word."""


@dataclass(frozen=True)
class Comparable:
    """The present values of a column on both sides: floats, or texts if `categorical`."""

    reference: Values
    current: Values
    categorical: bool
    missing: MissingChange
    fault: str = ""
    """What no shift in the world explains."""

    @property
    def values(self) -> int:
        """How many values the side with fewer has."""
        return min(len(self.reference), len(self.current))

    @property
    def is_noticeable(self) -> bool:
        """Tell whether the share of missing values moved noticeably."""
        return abs(self.missing.now - self.missing.before) >= NOTICEABLE


def comparable(column: str, reference: Values, current: Values) -> Comparable | None:
    """Clean a column's two sides; None if its type is not one that drifts, such as a time."""
    kind = _kind(reference) or _kind(current) or "number"
    if kind == "other":
        return None
    if kind == "category":
        old, new = _top(_texts(reference), _texts(current))
        return Comparable(old, new, True, _missing(column, reference, old, current, new))
    old, new = _numbers(reference), _numbers(current)
    missing = _missing(column, reference, old, current, new)
    return Comparable(old, new, False, missing, _fault(column, current))


def _kind(series: Values) -> str | None:
    """Tell what a column holds, whatever it is stored as; None if nothing."""
    if not series.notna().any():
        return None
    if isinstance(series.dtype, pd.CategoricalDtype):
        return "category"
    inferred = pd.api.types.infer_dtype(series, skipna=True)
    if inferred in ("string", "mixed", "categorical"):
        return "category"
    numbers = ("integer", "floating", "mixed-integer-float", "decimal", "boolean")
    return "number" if inferred in numbers else "other"


def _numbers(series: Values) -> Values:
    """Return what is a finite number."""
    if not pd.api.types.is_numeric_dtype(series):
        series = pd.to_numeric(series.astype(object), errors="coerce")
    values = series.to_numpy(dtype="float64", na_value=np.nan)
    finite = np.isfinite(values)
    return pd.Series(values[finite], series.index[finite], name=series.name)


def _fault(column: str, current: Values) -> str:
    if _kind(current) in (None, "number"):
        return ""
    values = current.dropna().astype(object)
    strange = values[pd.to_numeric(values, errors="coerce").isna()]
    return f"{column} was a number and holds {str(strange.iloc[0])!r}" if len(strange) else ""


def _texts(series: Values) -> Values:
    return series.astype(object).dropna().map(_text)


def _text(value: object) -> str:
    # A whole number turns into a float as soon as a value beside it is missing.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _top(reference: Values, current: Values) -> tuple[Values, Values]:
    """Fold rare categories into one: a score over thousands of them is noise, and takes minutes."""
    counts = reference.value_counts().rename_axis("value").reset_index(name="count")
    if max(len(counts), current.nunique()) <= TOP:
        return reference, current
    ranked = counts.sort_values(["count", "value"], ascending=[False, True])
    kept = set(ranked["value"].head(TOP))
    return reference.where(reference.isin(kept), OTHER), current.where(current.isin(kept), OTHER)


def _missing(column: str, reference: Values, old: Values, current: Values, new: Values) -> MissingChange:
    return MissingChange(column, 1 - len(old) / len(reference), 1 - len(new) / len(current))
