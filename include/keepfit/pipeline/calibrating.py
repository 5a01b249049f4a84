"""A calibration run: the model's own predictions of the past say where its alarms belong."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepfit.errors import NotReadyError
from keepfit.ledger import Ledger, spans
from keepfit.pipeline.champion import LiveVersion, find_champion
from keepfit.pipeline.comparing import reference_sketches
from keepfit.pipeline.doubts import doubted_predictions
from keepfit.pipeline.folder import RunFolder
from keepfit.pipeline.monitored import PREDICTIONS, predictions_of, tables
from keepfit.pipeline.snapshot import Snapshot
from keepfit.spec import policy
from keepfit.spec.model import ModelSpec
from keepfit.spec.window import Window

if TYPE_CHECKING:
    from keepfit.steps.calibration import Calibration

CALIBRATION = "calibrate"
"""The result in the run's folder, for whoever reads it later."""


class CalibrateRun:
    """One look back over a model's predictions."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Work from a snapshot; its window, where it has one, bounds the look back."""
        self.snapshot = snapshot
        self.model = snapshot.the_model
        self.ledger = Ledger(snapshot.locations.ledger_url)

    @cached_property
    def champion(self) -> LiveVersion:
        """The version whose features are looked at.

        Raises:
            NotReadyError: There is none.
        """
        found = find_champion(self.snapshot)
        if found is None:
            name = self.model.name
            raise NotReadyError(f"{name} has no champion, so nothing was predicted: run {name}__train first.")
        return found

    def calibrate(self, every: timedelta, false_alarms: float) -> dict[str, Any]:
        """Choose thresholds for a rate of false alarms on windows of one length, and store them."""
        from keepfit.steps.calibrate import SCORE, calibrate
        from keepfit.steps.quiet_windows import cut, read_past

        drift, windows = self.model.monitor.drift, cut(self._span(), every)
        key = self.snapshot.datasets[self.model.entities.dataset].key
        columns = (*self.champion.features, SCORE)
        min_rows = drift.min_rows if drift else 2
        with tables(self.snapshot, PREDICTIONS) as connection:
            past = read_past(
                connection,
                PREDICTIONS,
                windows,
                key=key,
                columns=columns,
                min_rows=min_rows,
                blocked=self._blocked(windows),
            )
        worth = self.champion.importances
        found = calibrate(
            past.quiet, drift, false_alarms, thresholds_of(self.model), worth.shares if worth else None
        )
        told = {"every": every.total_seconds(), "version": self.champion.version}
        told |= {"left_out": dict(past.left_out), "tested": self._tested()}
        return self.snapshot.folder.write(CALIBRATION, {**found.to_json(), "about": told})

    def _tested(self) -> list[str]:
        """Name the columns that are watched by p-values, while a calibration measures distances."""
        from keepfit.steps.detect_drift import tested_columns

        drift = self.model.monitor.drift
        if drift is None:
            return []
        reference = reference_sketches(self.snapshot, self.champion)
        return list(tested_columns(reference, self.champion.features, drift))

    def _span(self) -> Window:
        if self.snapshot.window:
            return self.snapshot.window
        table = predictions_of(self.model)
        covered = spans(self.ledger.publications(table))
        if not covered:
            name = self.model.name
            raise NotReadyError(
                f"{table} holds nothing yet: run {name}__predict for windows of the past first."
            )
        return Window(covered[0].start, covered[-1].end)

    def _blocked(self, windows: Sequence[Window]) -> dict[str, str]:
        """Return the windows whose data the ledger has doubts about, and why."""
        doubted = list(doubted_predictions(self.model, self.ledger))
        return {window.key: why for window in windows for each, why in doubted if window.overlaps(each)}


def latest_calibration(runs: Path, model: str) -> "Calibration | None":
    """Return what the last calibration of a model found; None before the first."""
    from keepfit.steps.calibration import Calibration

    done = [each for each in (runs / f"{model}__calibrate").glob("*/") if RunFolder(each).has(CALIBRATION)]
    if not done:
        return None
    stored = RunFolder(max(done)).read(CALIBRATION)
    return Calibration.of_json({name: each for name, each in stored.items() if name != "about"})


def thresholds_of(model: ModelSpec) -> dict[str, float]:
    """Return the thresholds of a policy by the signals they are for."""
    found = {}
    for rule in _leaves(model.policy.rules):
        if isinstance(rule, policy.DriftShare):
            found["share"] = rule.share
        elif isinstance(rule, policy.PredictionDrift):
            found["prediction"] = rule.threshold
        elif isinstance(rule, policy.WeightedDrift):
            found["weighted"] = rule.threshold
    return found


def _leaves(rules: Sequence[policy.Rule]) -> Iterator[policy.Rule]:
    for rule in rules:
        match rule:
            case policy.AllOf() | policy.AnyOf():
                yield from _leaves(rule.of)
            case policy.MofN():
                yield from _leaves((rule.of,))
            case _:
                yield rule
