"""The drift of a monitoring run's window: what moved, what is broken, and what jumped."""

from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from keepfit.pipeline.champion import LiveVersion
from keepfit.pipeline.comparing import compared
from keepfit.pipeline.faulty import faults_of
from keepfit.pipeline.snapshot import Snapshot
from keepfit.policy import Score
from keepfit.spec.window import moved

if TYPE_CHECKING:
    from keepfit.steps.detect_drift import DriftResult


def window_drift(snapshot: Snapshot, champion: LiveVersion) -> tuple[dict[str, Any], dict[str, Any]]:
    """Hold a window's features against those the champion was trained on, and the windows before.

    Returns:
        What is stored, and what matters of it in a few plain values.
    """
    from keepfit.steps.detect_drift import detect_drift
    from keepfit.steps.faults import each_once

    both, spec = compared(snapshot, champion), snapshot.the_model.monitor.drift
    shared = _shared(snapshot, champion)
    result = detect_drift(both.reference, both.current, both.features, spec, rows=both.rows, overlap=shared)
    found, weighted = faults_of(snapshot, both), _weighted(result, champion)
    result = replace(result, broken=each_once(result.broken, found.broken))
    return asdict(result) | {"weighted": asdict(weighted), "jumped": list(found.jumped)}, result.summary()


def seen_until(snapshot: Snapshot, champion: LiveVersion) -> datetime | None:
    """Return up to when the champion's training knew the rows, if that is recorded."""
    as_of, delay = champion.signal.as_of, snapshot.the_model.label.delay
    return moved(as_of, -delay, "What the champion has seen") if as_of else None


def _shared(snapshot: Snapshot, champion: LiveVersion) -> str:
    """Say so where the champion may have been trained on rows of this very window."""
    until = seen_until(snapshot, champion)
    if until is None or until <= snapshot.the_window.start:
        return ""
    return (
        f"the champion's training knew rows up to {until:%Y-%m-%d %H:%M}, so rows of this window, too: "
        "it would be held against itself"
    )


def _weighted(found: "DriftResult", champion: LiveVersion) -> Score:
    from keepfit.steps.weighted_drift import weighted_drift

    if not found.columns:
        return Score(reason=found.reason)
    known = champion.importances
    return weighted_drift(found.columns, known.shares if known else None, champion.version)
