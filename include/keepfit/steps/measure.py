"""Measure the champion on labelled predictions, and hold it against its own holdout."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from keepfit.policy import PerformanceSignal
from keepfit.spec.model import ModelSpec
from keepfit.steps.metrics import find_metric, is_higher_better, measure


@dataclass(frozen=True)
class Performance:
    """How each version that was live did on its own labelled predictions."""

    signal: PerformanceSignal
    """The champion's."""
    versions: Mapping[str, Mapping[str, float | None]]
    """All metrics and the number of `rows`, by version; None where the rows define no metric."""


def measure_performance(
    labelled: pd.DataFrame,
    spec: ModelSpec,
    version: str,
    holdout: Mapping[str, float],
    seen_until: datetime | None = None,
) -> Performance:
    """Measure all versions and judge whether the champion's figures allow an answer.

    Args:
        labelled: `event_time`, `score`, `label` and `version` of each labelled prediction.
        spec: Which metrics, and how many rows an answer needs.
        version: The champion.
        holdout: The champion's metrics on its own holdout.
        seen_until: The champion's training knew the rows up to then, so they say nothing of its worth.
    """
    if seen_until is not None:
        seen = (labelled["version"] == version) & (labelled["event_time"] <= seen_until)
        labelled = labelled[~seen]
    names = spec.evaluate.all_metrics
    versions = {
        str(each): {"rows": len(rows), **_metrics(rows, names)}
        for each, rows in labelled.groupby("version", observed=True)
    }
    mine = labelled[labelled["version"] == version]
    return Performance(_signal(mine, spec, version, versions.get(version, {}), holdout), versions)


def _metrics(rows: pd.DataFrame, names: tuple[str, ...]) -> dict[str, float | None]:
    label, score = (rows[name].to_numpy(np.float64) for name in ("label", "score"))
    found = measure(names, label, score)
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


def _signal(
    rows: pd.DataFrame,
    spec: ModelSpec,
    version: str,
    metrics: Mapping[str, float | None],
    holdout: Mapping[str, float],
) -> PerformanceSignal:
    metric = spec.evaluate.objective
    value, expected = metrics.get(metric), holdout.get(metric)
    reason = _reason_not_to_tell(rows, spec, version, value, expected)
    return PerformanceSignal(
        metric=metric,
        higher_is_better=is_higher_better(find_metric(metric)),
        rows=len(rows),
        value=None if reason else value,
        holdout=expected,
        reason=reason,
    )


def _reason_not_to_tell(
    rows: pd.DataFrame, spec: ModelSpec, version: str, value: float | None, expected: float | None
) -> str:
    needed = spec.monitor.performance.min_rows if spec.monitor.performance else 1
    metric = spec.evaluate.objective
    if len(rows) < needed:
        return f"{len(rows):,} labelled rows of version {version}, {needed:,} needed"
    if spec.task == "classification" and rows["label"].nunique() == 1:
        only = rows["label"].iloc[0]
        return f"all {len(rows):,} labelled rows of version {version} have the label {only:g}"
    if value is None:
        return f"it is no number on {len(rows):,} labelled rows of version {version}"
    if expected is None or not np.isfinite(expected):
        return f"version {version} has no holdout {metric}; train it again with this objective"
    return ""
