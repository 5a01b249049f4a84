"""Ask a model's own gate whether the challenger of a later cut may take the place of an earlier one."""

from dataclasses import replace

import numpy as np

from keepfit.spec import ModelSpec
from keepfit.steps.evaluate import CHAMPION
from keepfit.steps.gate import Judgement, gate
from keepfit.steps.metrics import measure
from keepfit.steps.replay_cell import TrainedCut
from keepfit.steps.training_rows import LABEL


def gate_cuts(challenger: TrainedCut, champion: TrainedCut, spec: ModelSpec) -> Judgement:
    """Judge a challenger against a champion on the challenger's holdout, as a training run would."""
    scores, holdout = champion.scores.of(challenger.holdout), challenger.holdout
    evaluation = replace(challenger.evaluation, champion_version=champion.version)
    if not np.isfinite(scores).all():
        problem = "it has no score for rows from before its own holdout."
        return gate(replace(evaluation, champion_problem=problem), holdout, spec)
    measured = measure(spec.evaluate.all_metrics, holdout[LABEL].to_numpy(np.float64), scores)
    return gate(replace(evaluation, champion=measured), holdout.assign(**{CHAMPION: scores}), spec)
