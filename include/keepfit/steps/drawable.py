"""Clean a column of two frames for Evidently's report, which loses a whole page over one odd value."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from keepfit.steps.comparable import TOP

Values = pd.Series  # numbers or texts
OTHER = "(other)"


@dataclass(frozen=True)
class Drawable:
    """The present values of a column on both sides: floats, or texts if `categorical`."""

    reference: Values
    current: Values
    categorical: bool


def drawable(reference: Values, current: Values) -> Drawable | None:
    """Clean a column's two sides; None if its type is not one that drifts, or a side has no value."""
    kind = _kind(reference) or _kind(current)
    if kind == "category":
        found = Drawable(*_top(_texts(reference), _texts(current)), True)
    elif kind == "number":
        found = Drawable(_numbers(reference), _numbers(current), False)
    else:
        return None
    return found if len(found.reference) and len(found.current) else None


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


def _texts(series: Values) -> Values:
    return series.astype(object).dropna().map(_text)


def _text(value: object) -> str:
    # A whole number turns into a float as soon as a value beside it is missing.
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _top(reference: Values, current: Values) -> tuple[Values, Values]:
    """Fold rare categories into one: a page over thousands of them takes minutes."""
    counts = reference.value_counts().rename_axis("value").reset_index(name="count")
    if max(len(counts), current.nunique()) <= TOP:
        return reference, current
    ranked = counts.sort_values(["count", "value"], ascending=[False, True])
    kept = set(ranked["value"].head(TOP))
    return reference.where(reference.isin(kept), OTHER), current.where(current.isin(kept), OTHER)
