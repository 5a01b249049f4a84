"""Hold a window's features against those the champion was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keepfit.backends.sketches import Sketch
from keepfit.policy import MissingChange
from keepfit.steps.comparable import Comparable, UnseenShare, comparable
from keepfit.steps.distances import NUMBERS_ONLY, P_VALUES, Method, default_method, measure

if TYPE_CHECKING:
    from keepfit.spec.model import DriftSpec

EVIDENTLYS = 0.5
"""The share of drifted columns from which Evidently calls a data set drifted."""


@dataclass(frozen=True)
class ColumnDrift:
    """How far one column is from its reference, by Evidently's definitions."""

    column: str
    method: str
    score: float
    """A distance, or a p-value: only `drifted` knows in which direction it counts."""
    threshold: float
    drifted: bool
    noise: float
    """Beyond this lies the score of two samples of the same rows in a few per cent of the cases."""


@dataclass(frozen=True)
class DriftResult:
    """What was compared, what drifted, and what could not be told."""

    columns: tuple[ColumnDrift, ...]
    prediction: ColumnDrift | None
    """The champion's scores, always by a distance; not part of the share."""
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
    unseen: tuple[UnseenShare, ...] = ()
    """Columns with more values that the reference does not know than luck explains."""

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
    reference: Mapping[str, Sketch],
    current: Mapping[str, Sketch],
    features: Sequence[str],
    spec: "DriftSpec | None",
    *,
    rows: int | None = None,
    share: float = EVIDENTLYS,
    overlap: str = "",
) -> DriftResult:
    """Compare features column by column; without a spec look for broken columns only.

    Args:
        reference: Sketches of the champion's training rows: its features and `score`.
        current: Sketches of the window's predictions.
        features: The champion's features.
        spec: Which columns, by which method, with how many rows at least.
        rows: How many rows the window has, if not those of the sketches.
        share: From which share of drifted columns on the window counts as drifted.
        overlap: What rows the reference shares with the window, if it does: nothing is told by it then.
    """
    before, rows = _rows(reference), _rows(current) if rows is None else rows
    found = _look_at(reference, current, features if before and rows else ())
    too_few = _too_few(before, rows, spec) or overlap
    measured = _measure(found, spec) if spec and not too_few else ()
    reason = too_few or ("" if measured else "no column has enough values")
    found_share = sum(each.drifted for each in measured) / len(measured) if measured else None
    unseen = (each.unseen for each in found.pairs.values())
    return DriftResult(
        columns=measured,
        prediction=_prediction(reference, current, spec) if measured and spec else None,
        share=found_share,
        drifted=None if found_share is None else found_share >= share,
        reason=reason,
        reference_rows=before,
        rows=rows,
        missing=tuple(each.missing for each in found.pairs.values() if each.is_noticeable),
        broken=tuple(found.broken),
        skipped=found.skipped,
        unseen=tuple(each for each in unseen if each and each.share > each.noise),
    )


@dataclass(frozen=True)
class _Found:
    pairs: dict[str, Comparable]
    broken: list[str]
    skipped: dict[str, str]


def _rows(sketches: Mapping[str, Sketch]) -> int:
    return max((each.rows for name, each in sketches.items() if name != "score"), default=0)


def _look_at(
    reference: Mapping[str, Sketch], current: Mapping[str, Sketch], features: Sequence[str]
) -> _Found:
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


def _measure(found: _Found, spec: "DriftSpec") -> tuple[ColumnDrift, ...]:
    measured = []
    for column in spec.columns or tuple(found.pairs):
        if column not in found.pairs:
            found.skipped.setdefault(column, "no feature of the champion")
            continue
        pair = found.pairs[column]
        if pair.values < spec.min_rows:
            found.skipped[column] = f"{pair.values:,} values of {spec.min_rows:,}"
            continue
        measured.append(_drift(column, pair, spec))
    return tuple(measured)


def tested_columns(
    reference: Mapping[str, Sketch], features: Sequence[str], spec: "DriftSpec"
) -> tuple[str, ...]:
    """Name the features that are compared with a reference by p-values, which no calibration is for."""
    enough = (
        name
        for name in spec.columns or features
        if name in features and name in reference and reference[name].n >= spec.min_rows
    )
    return tuple(name for name in enough if _is_tested(reference[name], spec))


def _is_tested(reference: Sketch, spec: "DriftSpec") -> bool:
    return (_asked_for(reference, spec) or default_method(reference, reference)) in P_VALUES


def _asked_for(reference: Sketch, spec: "DriftSpec") -> Method | None:
    """Return the method asked for; one for numbers leaves categories to Evidently's default."""
    is_for_it = spec.method not in NUMBERS_ONLY or reference.kind == "number"
    return spec.method if spec.method != "default" and is_for_it else None


def _drift(column: str, pair: Comparable, spec: "DriftSpec") -> ColumnDrift:
    method = _asked_for(pair.reference, spec)
    is_for_it = method is not None or spec.method == "default"
    found = measure(pair.reference, pair.current, method, spec.threshold if is_for_it else None)
    return ColumnDrift(column, found.method, found.score, found.threshold, found.drifted, found.noise)


def _prediction(
    reference: Mapping[str, Sketch], current: Mapping[str, Sketch], spec: "DriftSpec"
) -> ColumnDrift | None:
    """Compare scores by a distance, as a calibration does: a p-value is small where they are far."""
    if "score" not in reference or "score" not in current:
        return None
    scores = spec.model_copy(update={"columns": ("score",)} | _by_distance(spec))
    return next(iter(_measure(_look_at(reference, current, ["score"]), scores)), None)


def _by_distance(spec: "DriftSpec") -> dict[str, Any]:
    if spec.method == "ks":
        return {"method": "wasserstein", "threshold": None}
    return {"method": "wasserstein"} if spec.method == "default" else {}


def _too_few(reference_rows: int, rows: int, spec: "DriftSpec | None") -> str:
    if spec is None:
        return "not asked for"
    if rows < spec.min_rows:
        return f"the window has {rows:,} rows of {spec.min_rows:,} needed"
    if reference_rows < spec.min_rows:
        return f"the reference has {reference_rows:,} rows of {spec.min_rows:,} needed"
    return ""
