"""What the live loop would have known about a window under the model of a cut, and what that model cost."""

import math
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.policy import Cell, Champion, PerformanceSignal, RegretSignal, Signals
from keepfit.spec import ModelSpec, Window
from keepfit.spec.window import moved
from keepfit.steps.evaluate import CHALLENGER, CHAMPION, Evaluation
from keepfit.steps.history import ROW
from keepfit.steps.measure import measure_performance
from keepfit.steps.metrics import find_metric, is_higher_better, measure
from keepfit.steps.regret import regret, unknown_regret, why_too_few
from keepfit.steps.training_rows import EVENT_TIME, LABEL


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
    rows: int
    """How many predictions it holds."""
    due: pd.DataFrame
    """Those whose label became known in the window."""
    made: pd.DataFrame | None
    """Those of the window with the truth; None where that is not known yet."""


def replay_cell(
    spec: ModelSpec, at: WindowRows, champion: TrainedCut, fresh: TrainedCut, new_rows: int
) -> Cell:
    """Measure one window under one model.

    Args:
        spec: The model.
        at: The window.
        champion: The model that answers it.
        fresh: The model that was trained at its start.
        new_rows: Labelled rows that no training since the champion's has seen.
    """
    # Before the champion was trained, another answered.
    due = at.due[at.due[EVENT_TIME] >= champion.as_of]
    answered = due.assign(score=champion.scores.of(due))
    signals = Signals(
        model=spec.name,
        window_start=at.window.start,
        window_end=at.window.end,
        rows=at.rows,
        champion=Champion(champion.version, champion.as_of),
        performance=_performance(answered, spec, champion),
        drift=None,
        regret=_regret(answered, spec, champion, fresh),
        new_rows=new_rows,
    )
    return Cell(signals, None if at.made is None else _loss(at.made, champion, spec))


def _performance(due: pd.DataFrame, spec: ModelSpec, by: TrainedCut) -> PerformanceSignal:
    holdout = {name: value for name, value in by.evaluation.metrics.items() if math.isfinite(value)}
    seen_until = moved(by.as_of, -spec.label.delay, "What the champion has seen")
    labelled = due.assign(version=by.version, role="champion")
    return measure_performance(labelled, spec, by.version, holdout, seen_until=seen_until).signal


def _regret(answered: pd.DataFrame, spec: ModelSpec, champion: TrainedCut, fresh: TrainedCut) -> RegretSignal:
    seen = moved(fresh.as_of, -spec.label.delay, "What a challenger has seen")
    new = answered[answered[EVENT_TIME] > seen].rename(columns={"score": CHAMPION})
    if reason := why_too_few(new[EVENT_TIME], spec):
        return unknown_regret(reason, len(new))
    if champion is fresh:
        return RegretSignal(0.0, 0.0, len(new))
    return regret(new.assign(**{CHALLENGER: fresh.challenges(champion, spec).of(new)}), spec)


def _loss(made: pd.DataFrame, by: TrainedCut, spec: ModelSpec) -> float | None:
    """Return the objective, turned so that lower is better; None where the rows do not define it."""
    if made.empty:
        return None
    name = spec.evaluate.objective
    value = measure((name,), made[LABEL].to_numpy(np.float64), by.scores.of(made))[name]
    sign = -1 if is_higher_better(find_metric(name)) else 1
    return sign * value if math.isfinite(value) else None
