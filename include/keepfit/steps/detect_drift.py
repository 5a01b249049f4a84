"""Hold a window's features against those the champion was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from keepfit.policy import MissingChange
from keepfit.steps.comparable import Comparable, comparable

if TYPE_CHECKING:
    from keepfit.backends.drift_report import ColumnDrift
    from keepfit.spec.model import DriftSpec


EVIDENTLYS = 0.5
"""The share of drifted columns from which Evidently calls a data set drifted."""


@dataclass(frozen=True)
class DriftResult:
    """What was compared, what drifted, and what could not be told."""

    columns: tuple["ColumnDrift", ...]
    prediction: "ColumnDrift | None"
    """The champion's scores, compared in the same way; not part of the share."""
    share: float | None
    """Drifted among the compared columns; None when it could not be told, and `reason` says why."""
    drifted: bool | None
    reason: str
    reference_rows: int
    rows: int
    missing: tuple[MissingChange, ...]
    broken: tuple[str, ...]
    skipped: Mapping[str, str]
    """Columns that were not compared, and why."""

    def summary(self) -> dict[str, Any]:
        """Say what matters in a few plain values."""
        return {
            "drifted": self.drifted,
            "share": self.share,
            "columns": len(self.columns),
            "drifted_columns": [each.column for each in self.columns if each.drifted],
            "rows": self.rows,
            "reason": self.reason,
            "broken": list(self.broken),
        }


def detect_drift(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    features: Sequence[str],
    spec: "DriftSpec | None",
    rows: int | None = None,
    *,
    share: float = EVIDENTLYS,
) -> DriftResult:
    """Compare features column by column; without a spec look for broken columns only.

    Args:
        reference: A sample of the champion's training rows: its features and `score`.
        current: A sample of the window's predictions.
        features: The champion's features.
        spec: Which columns, by which method, with how many rows at least.
        rows: How many rows the window has, if `current` is a sample.
        share: From which share of drifted columns on the window counts as drifted.
    """
    rows = len(current) if rows is None else rows
    found = _look_at(reference, current, features if len(current) and len(reference) else ())
    too_few = _too_few(len(reference), rows, spec)
    measured = _measure(found, spec) if spec and not too_few else ()
    reason = too_few or ("" if measured else "no column has enough values")
    found_share = sum(each.drifted for each in measured) / len(measured) if measured else None
    return DriftResult(
        columns=measured,
        prediction=_prediction(reference, current, spec) if measured and spec else None,
        share=found_share,
        drifted=None if found_share is None else found_share >= share,
        reason=reason,
        reference_rows=len(reference),
        rows=rows,
        missing=tuple(each.missing for each in found.pairs.values() if each.is_noticeable),
        broken=tuple(found.broken),
        skipped=found.skipped,
    )


@dataclass(frozen=True)
class _Found:
    pairs: dict[str, Comparable]
    broken: list[str]
    skipped: dict[str, str]


def _look_at(reference: pd.DataFrame, current: pd.DataFrame, features: Sequence[str]) -> _Found:
    found = _Found({}, [], {})
    for column in features:
        if column not in current:
            found.broken.append(f"{column} is not among the predictions")
        elif column not in reference:
            found.skipped[column] = "not in the champion's reference"
        elif (pair := comparable(column, reference[column], current[column])) is None:
            found.skipped[column] = "neither a number nor a category"
        elif pair.fault:
            found.broken.append(pair.fault)
        else:
            found.pairs[column] = pair
    return found


def _measure(found: _Found, spec: "DriftSpec") -> "tuple[ColumnDrift, ...]":
    from keepfit.backends.drift_report import column_drift

    measured = []
    for column in spec.columns or tuple(found.pairs):
        if column not in found.pairs:
            found.skipped.setdefault(column, "no feature of the champion")
            continue
        pair = found.pairs[column]
        if pair.values < spec.min_rows:
            found.skipped[column] = f"{pair.values:,} values of {spec.min_rows:,}"
            continue
        ask = partial(column_drift, method=spec.method, threshold=spec.threshold)
        measured.append(ask(pair.reference, pair.current, categorical=pair.categorical))
    return tuple(measured)


def _prediction(reference: pd.DataFrame, current: pd.DataFrame, spec: "DriftSpec") -> "ColumnDrift | None":
    if "score" not in reference or "score" not in current:
        return None
    scores = spec.model_copy(update={"columns": ("score",)})
    return next(iter(_measure(_look_at(reference, current, ["score"]), scores)), None)


def _too_few(reference_rows: int, rows: int, spec: "DriftSpec | None") -> str:
    if spec is None:
        return "not asked for"
    if rows < spec.min_rows:
        return f"the window has {rows:,} rows of {spec.min_rows:,} needed"
    if reference_rows < spec.min_rows:
        return f"the reference has {reference_rows:,} rows of {spec.min_rows:,} needed"
    return ""
