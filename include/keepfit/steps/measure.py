"""Measure the champion on labelled predictions, and hold it against its own holdout."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd

from keepfit.policy import PerformanceSignal, Score
from keepfit.spec.model import ModelSpec
from keepfit.steps.calibrated import calibration
from keepfit.steps.made_predictions import ANSWERED
from keepfit.steps.metrics import find_metric, is_higher_better, measure
from keepfit.steps.useful import Usefulness, usefulness


@dataclass(frozen=True)
class RolePerformance:
    """How one version did in one role."""

    role: str
    version: str
    rows: int
    metrics: Mapping[str, float | None]
    maturity: float | None
    """Which share of its predictions, of those whose label should be known, is labelled."""

    def __str__(self) -> str:
        """Say it in a line."""
        known = "" if self.maturity is None else f"; {self.maturity:.1%} of its labels are known"
        figures = ", ".join(
            f"{name} {value:.4f}" for name, value in self.metrics.items() if value is not None
        )
        return f"{self.role} {self.version}: {figures or 'not measured'} on {self.rows:,} rows{known}"


@dataclass(frozen=True)
class Performance:
    """How each version that was live did on its own labelled predictions."""

    signal: PerformanceSignal
    """The champion's, on what it has answered."""
    versions: Mapping[str, Mapping[str, float | None]]
    """All metrics and the number of `rows` of what was answered, by version; None where the rows define no
    metric."""
    roles: tuple[RolePerformance, ...] = ()
    """The same for each role and version, with what was scored beside."""
    calibration: Score = field(default_factory=Score)
    """How far the champion's probabilities are from what came."""


def measure_performance(
    labelled: pd.DataFrame,
    spec: ModelSpec,
    version: str,
    holdout: Mapping[str, float],
    *,
    mean_label: float | None = None,
    seen_until: datetime | None = None,
    maturity: Mapping[tuple[str, str], float | None] | None = None,
) -> Performance:
    """Measure all versions and judge whether the champion's figures allow an answer.

    Args:
        labelled: `event_time`, `score`, `label`, `version` and `role` of each labelled prediction.
        spec: Which metrics, and how many rows an answer needs.
        version: The champion.
        holdout: The champion's metrics on its own holdout.
        mean_label: The mean label of that holdout; None if nobody recorded it.
        seen_until: The champion's training knew the rows up to then, so they say nothing of its worth.
        maturity: Which share of the labels is known, by role and version.
    """
    if seen_until is not None:
        seen = (labelled["version"] == version) & (labelled["event_time"] <= seen_until)
        labelled = labelled[~seen]
    names = spec.evaluate.all_metrics
    answered = labelled[labelled["role"].isin(ANSWERED)]
    versions = {
        str(each): {"rows": len(rows), **_metrics(rows, names)}
        for each, rows in answered.groupby("version", observed=True)
    }
    mine = answered[answered["version"] == version]
    return Performance(
        _signal(mine, spec, version, versions.get(version, {}), holdout, guess=mean_label),
        versions,
        tuple(_by_role(labelled, names, maturity or {})),
        calibration(mine, spec),
    )


def _by_role(
    labelled: pd.DataFrame, names: tuple[str, ...], maturity: Mapping[tuple[str, str], float | None]
) -> Iterator[RolePerformance]:
    """Yield what each version did in each role, also one of whose labels none is known."""
    found = {
        (str(role), str(version)): rows
        for (role, version), rows in labelled.groupby(["role", "version"], observed=True)
    }
    for role, version in sorted({*found, *maturity}):
        rows = found.get((role, version))
        metrics = dict.fromkeys(names) if rows is None else _metrics(rows, names)
        known = maturity.get((role, version))
        yield RolePerformance(role, version, 0 if rows is None else len(rows), metrics, known)


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
    *,
    guess: float | None,
) -> PerformanceSignal:
    metric = spec.evaluate.objective
    value, expected = metrics.get(metric), holdout.get(metric)
    reason = _reason_not_to_tell(rows, spec, version, value, expected)
    useful = Usefulness() if reason or value is None else usefulness(rows, spec, value, guess)
    return PerformanceSignal(
        metric=metric,
        higher_is_better=is_higher_better(find_metric(metric)),
        rows=len(rows),
        value=None if reason else value,
        holdout=expected,
        reason=reason,
        **asdict(useful),
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
