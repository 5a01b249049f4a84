"""What the live loop would have known about a window under the model of a cut, and what that model cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.backends.sketches import Sketch, sketch_values
from keepfit.policy import Cell, Champion, RegretSignal, Score
from keepfit.spec import ModelSpec, Window
from keepfit.spec.window import moved
from keepfit.steps.decide import Measured
from keepfit.steps.detect_drift import detect_drift
from keepfit.steps.evaluate import CHALLENGER, CHAMPION, Evaluation
from keepfit.steps.faults import Faults, each_once, find_faults
from keepfit.steps.history import ROW
from keepfit.steps.importance import Importances
from keepfit.steps.measure import Performance, measure_performance
from keepfit.steps.metrics import find_metric, is_higher_better, measure
from keepfit.steps.regret import regret, unknown_regret, why_too_few
from keepfit.steps.training_rows import EVENT_TIME, LABEL
from keepfit.steps.useful import mean_label
from keepfit.steps.weighted_drift import weighted_drift


@dataclass(frozen=True)
class NumberedScores:
    """What a model gives the history's rows, from some row on."""

    first: int
    """That row's number."""
    scores: NDArray[np.float64]

    def of(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Return the scores of numbered rows; NaN before the first."""
        numbers = rows[ROW].to_numpy()
        return np.where(numbers >= self.first, self.scores[np.maximum(numbers - self.first, 0)], np.nan)


@dataclass(frozen=True)
class TrainedCut:
    """The model of a cut, and what it gives the rows from its holdout on."""

    version: str
    as_of: datetime
    evaluation: Evaluation
    holdout: pd.DataFrame
    """The holdout's rows as `evaluate` returned them, with their numbers."""
    features: tuple[str, ...]
    sketches: Mapping[str, Sketch]
    """Of its training rows, and of the scores of its holdout."""
    importances: Importances
    scores: NumberedScores
    fresh: tuple[NumberedScores, ...]
    """What each candidate gives the rows that were newly labelled in the window after the cut."""

    def challenges(self, champion: "TrainedCut", spec: ModelSpec) -> NumberedScores:
        """Return the scores of the fresh challenger to a champion."""
        as_champion = spec.monitor.challenger.candidates == "champion"
        return self.fresh[(champion if as_champion else self).evaluation.challenger]


@dataclass(frozen=True)
class WindowRows:
    """What a window holds, whoever is champion; its rows have number, `event_time` and `label`."""

    window: Window
    made: pd.DataFrame
    """All rows to predict, with the truth where there is one."""
    known: bool
    """Whether all of that truth is known by now."""
    due: pd.DataFrame
    """Those whose label became known in the window."""
    sketches: Mapping[str, Sketch]
    """Of all features."""
    before: Sequence[Mapping[str, Sketch]] = ()
    """Those of the windows before, oldest first, but for the broken ones."""
    broken: bool = False
    """Whether its data is: no model is worse for what it made of that."""


def replay_cell(
    spec: ModelSpec, at: WindowRows, champion: TrainedCut, fresh: TrainedCut, new_rows: int
) -> Cell:
    """Measure one window under one model, by the steps of a monitoring run.

    Args:
        spec: The model.
        at: The window.
        champion: The model that answers it.
        fresh: The model that was trained at its start.
        new_rows: Labelled rows that no training since the champion's has seen.
    """
    # Before the champion was trained, another answered.
    due = at.due[at.due[EVENT_TIME] >= champion.as_of]
    answered, scores = due.assign(score=champion.scores.of(due)), champion.scores.of(at.made)
    measured = Measured(
        joined={"new_rows": new_rows},
        performance=asdict(_performance(answered, spec, champion)),
        drift=_drift(at, spec, champion, scores),
        champion=Champion(champion.version, champion.as_of),
        predicted=1.0,
        regret=asdict(_regret(answered, spec, champion, fresh)),
    )
    label = at.made[LABEL].to_numpy(np.float64)
    told = at.known and not at.broken
    loss = _loss(label[~np.isnan(label)], scores[~np.isnan(label)], spec) if told else None
    return Cell(measured.signals(spec.name, at.window), loss)


def _performance(due: pd.DataFrame, spec: ModelSpec, by: TrainedCut) -> Performance:
    holdout = {name: value for name, value in by.evaluation.metrics.items() if math.isfinite(value)}
    seen_until = moved(by.as_of, -spec.label.delay, "What the champion has seen")
    labelled = due.assign(version=by.version, role="champion")
    guess = mean_label(by.holdout)
    return measure_performance(labelled, spec, by.version, holdout, mean_label=guess, seen_until=seen_until)


def _drift(at: WindowRows, spec: ModelSpec, by: TrainedCut, scores: NDArray[np.float64]) -> dict[str, Any]:
    current = {**at.sketches, "score": sketch_values(scores)}
    found = detect_drift(by.sketches, current, by.features, spec.monitor.drift, rows=len(at.made))
    reference = {name: by.sketches[name] for name in by.features if name in by.sketches}
    faults = find_faults(reference, at.before, current) if len(at.made) else Faults()
    weighted = Score(reason=found.reason)
    if found.columns:
        weighted = weighted_drift(found.columns, by.importances.shares, by.version)
    broken = each_once(found.broken, faults.broken)
    more = {"weighted": asdict(weighted), "jumped": list(faults.jumped)}
    return asdict(replace(found, broken=broken)) | more


def _regret(answered: pd.DataFrame, spec: ModelSpec, champion: TrainedCut, fresh: TrainedCut) -> RegretSignal:
    seen = moved(fresh.as_of, -spec.label.delay, "What a challenger has seen")
    new = answered[answered[EVENT_TIME] > seen].rename(columns={"score": CHAMPION})
    if reason := why_too_few(new[EVENT_TIME], spec):
        return unknown_regret(reason, len(new))
    if champion is fresh:
        return RegretSignal(0.0, 0.0, len(new))
    return regret(new.assign(**{CHALLENGER: fresh.challenges(champion, spec).of(new)}), spec)


def _loss(label: NDArray[np.float64], scores: NDArray[np.float64], spec: ModelSpec) -> float | None:
    """Return the objective, turned so that lower is better; None where the rows do not define it."""
    if not len(label):
        return None
    name = spec.evaluate.objective
    value = measure((name,), label, scores)[name]
    sign = -1 if is_higher_better(find_metric(name)) else 1
    return sign * value if math.isfinite(value) else None
