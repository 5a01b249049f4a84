"""Train a fresh challenger, to see what the champion's age costs. It is never registered, nor deployed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from keepfit.errors import TrainingError
from keepfit.spec import ModelSpec
from keepfit.spec.model import CandidateSpec
from keepfit.steps.metrics import find_metric, is_higher_better, measure
from keepfit.steps.split import split_by_time
from keepfit.steps.train import Trained, scored, train


def fresh_challenger(
    rows: pd.DataFrame, features: Mapping[str, str], spec: ModelSpec, candidates: Sequence[CandidateSpec]
) -> Trained:
    """Train as a training run does: on the rows before the holdout, the best candidate on the holdout wins.

    Args:
        rows: The training set known at a moment: `event_time`, `label` and the features.
        features: The features' names and types, in the model's order.
        spec: The model.
        candidates: What to train; a single one is not scored.

    Raises:
        TrainingError: The rows or the parameters cannot train a model.
    """
    split = split_by_time(rows, spec.train.holdout, spec.label.delay)
    trained = [train(split.train, features, spec, each) for each in candidates]
    if len(trained) == 1:
        return trained[0]
    metric = spec.evaluate.objective
    truth = split.holdout["label"].to_numpy(np.float64)
    values = [measure((metric,), truth, scored(each.model, split.holdout, spec))[metric] for each in trained]
    if not np.isfinite(values).any():
        raise TrainingError(
            f"The objective {metric!r} cannot be computed on the {len(truth)} rows of the holdout."
        )
    upwards = is_higher_better(find_metric(metric))
    return trained[int(np.nanargmax(values) if upwards else np.nanargmin(values))]


def challengers(spec: ModelSpec, champion: Mapping[str, Any] | None) -> tuple[CandidateSpec, ...]:
    """Return what a fresh challenger is trained as: all candidates, or the champion's with its parameters.

    Args:
        spec: The model. Only its own trainers are run, whatever the champion's record names.
        champion: What its training recorded; None where nothing did.

    Raises:
        TrainingError: The spec asks for the champion's, and does not have it any more.
    """
    if spec.monitor.challenger.candidates == "all":
        return spec.train.candidates
    asked = "let `monitor.challenger.candidates` be `all`, or train the model again"
    if champion is None:
        raise TrainingError(f"Nothing tells how the champion was trained: {asked}.")
    wanted = (champion["trainer"], champion["estimator"])
    own = [each for each in spec.train.candidates if (each.trainer, each.estimator) == wanted]
    if not own:
        raise TrainingError(
            f"The champion was trained by {wanted[1] or wanted[0]}, which is no candidate of "
            f"models/{spec.name}.yaml any more: {asked}."
        )
    return (CandidateSpec(trainer=own[0].trainer, estimator=own[0].estimator, params=champion["params"]),)
