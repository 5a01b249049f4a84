"""Train one candidate on rows of the past."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit import plugins
from keepfit.errors import KeepfitError, TrainingError
from keepfit.plugins import Model, TrainingTask
from keepfit.spec import ModelSpec
from keepfit.spec.model import CandidateSpec
from keepfit.steps.metrics import find_metric, is_higher_better, measure


@dataclass(frozen=True)
class Trained:
    """A candidate and how it came about."""

    model: Model
    params: Mapping[str, Any]
    rows: int
    trials: int
    """How many trials a search took; 0 without one."""
    stopped: str | None
    """Why the search stopped."""
    left_out: tuple[str, ...]
    """Features without a value in any training row."""
    features: tuple[str, ...] = ()
    """Those it takes, in their order."""


def train(
    rows: pd.DataFrame,
    features: Mapping[str, str],
    spec: ModelSpec,
    candidate: CandidateSpec,
    journal: Path | None = None,
) -> Trained:
    """Search parameters if the spec asks for it, then train on all the rows.

    Args:
        rows: Features and `label`, sorted by time.
        features: The features' names and types, in the model's order.
        spec: The model.
        candidate: Which of its candidates.
        journal: Where a search keeps its finished trials.

    Raises:
        TrainingError: The rows or the parameters cannot train a model.
    """
    refuse_unusable(rows, spec)
    used = {name: kind for name, kind in features.items() if rows[name].notna().any()}
    left_out = tuple(name for name in features if name not in used)
    _refuse_no_features(used, len(rows), spec)
    fit = partial(_fit, features=used, spec=spec, candidate=candidate)
    if candidate.search is None:
        model = fit(rows, candidate.params)
        return Trained(model, candidate.params, len(rows), 0, None, left_out, tuple(used))

    from keepfit.backends.search import search

    cut = len(rows) - max(1, round(len(rows) * candidate.search.validation))
    early, late = rows.iloc[:cut], rows.iloc[cut:]
    refuse_unusable(early, spec)
    truth = late["label"].to_numpy(np.float64)

    def score(tried: Mapping[str, Any]) -> float:
        scores = scored(fit(early, candidate.params | dict(tried)), late, spec)
        return measure((spec.evaluate.objective,), truth, scores)[spec.evaluate.objective]

    upwards = is_higher_better(find_metric(spec.evaluate.objective))
    found = search(candidate.search, score, higher_is_better=upwards, seed=spec.train.seed, journal=journal)
    params = candidate.params | found.params
    model = fit(rows, params)
    return Trained(model, params, len(rows), found.trials, found.stopped, left_out, tuple(used))


def scored(model: Model, rows: pd.DataFrame, spec: ModelSpec) -> NDArray[np.float64]:
    """Score rows and refuse scores that cannot be what they claim.

    Raises:
        TrainingError: There is not one number per row, or a probability lies outside 0 to 1.
    """
    scores = np.asarray(model.predict(rows), dtype=np.float64)
    if scores.shape != (len(rows),) or not np.isfinite(scores).all():
        raise TrainingError(
            f"The {model.flavor} model gives scores of shape {scores.shape} for {len(rows)} rows, "
            f"{int((~np.isfinite(scores)).sum())} of them no number. One number each is needed."
        )
    if spec.task == "classification" and len(scores) and not 0 <= scores.min() <= scores.max() <= 1:
        raise TrainingError(
            f"The {model.flavor} model gives scores from {scores.min():.4g} to {scores.max():.4g}, "
            "which are no probabilities. Choose an objective or estimator that gives probabilities."
        )
    return scores


def refuse_unusable(rows: pd.DataFrame, spec: ModelSpec) -> None:
    """Refuse rows no model can be trained on.

    Raises:
        TrainingError: There are too few rows, a label is no class, or there is one class only.
    """
    if len(rows) < spec.train.min_rows:
        raise TrainingError(
            f"There are {len(rows)} rows to train on, fewer than `train.min_rows` ({spec.train.min_rows}). "
            "Publish more history, or lower it."
        )
    if spec.task == "classification":
        _refuse_labels(np.unique(rows["label"].to_numpy(np.float64)), len(rows), spec)


def _refuse_no_features(features: Mapping[str, str], rows: int, spec: ModelSpec) -> None:
    if not features:
        raise TrainingError(
            f"No feature of the service {spec.features!r} has a value in any of {rows} training rows. "
            "Are their datasets published for this time?"
        )


def _refuse_labels(labels: NDArray[np.float64], rows: int, spec: ModelSpec) -> None:
    shown = ", ".join(f"{label:g}" for label in labels[:5])
    if not set(labels) <= {0.0, 1.0}:
        raise TrainingError(
            f"The label {spec.label.column!r} holds {shown}. Classification is binary: "
            "make it 0 or 1 in a transform, or set `task: regression`."
        )
    if len(labels) == 1:
        raise TrainingError(
            f"All {rows} training rows have the label {shown}: there is nothing to tell apart. "
            f"Check the label {spec.label.column!r}, or train on more history."
        )


def _fit(
    rows: pd.DataFrame,
    params: Mapping[str, Any],
    *,
    features: Mapping[str, str],
    spec: ModelSpec,
    candidate: CandidateSpec,
) -> Model:
    task = TrainingTask(
        frame=rows[list(features)],
        label=rows["label"].to_numpy(np.float64),
        task=spec.task,
        categorical=tuple(name for name, kind in features.items() if kind == "string"),
        params=params,
        seed=spec.train.seed,
        threads=spec.train.threads,
        estimator=candidate.estimator,
    )
    try:
        model: Model = plugins.find("trainers", candidate.trainer)(task)
    except KeepfitError:
        raise
    except Exception as error:
        raise TrainingError(
            f"The trainer {candidate.trainer!r} fails on {len(rows)} rows: {type(error).__name__}: {error}"
        ) from error
    return model
