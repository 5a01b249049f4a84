"""A search of hyper-parameters with Optuna that stops when it is good enough. The only door to optuna."""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from keepfit.errors import TrainingError
from keepfit.spec.model import Choice, FloatRange, IntRange, SearchSpec

Params = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    params: Params
    value: float
    trials: int
    stopped: Literal["trials", "patience", "good_enough"]


def search(
    spec: SearchSpec,
    score: Callable[[Mapping[str, Any]], float],
    *,
    higher_is_better: bool,
    seed: int,
    journal: Path | None = None,
) -> Found:
    """Try parameters until nothing better is to be expected, and return the best.

    Args:
        spec: The space and when to stop.
        score: Trains with some parameters and returns the objective on the validation rows.
        higher_is_better: The objective's direction.
        seed: Fixes every suggestion.
        journal: Finished trials are kept here, so that a killed search goes on as if it had not been.

    Raises:
        TrainingError: A trial's objective is no number.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {name: _distribution(each) for name, each in spec.space.items()}
    study = optuna.create_study(direction="maximize" if higher_is_better else "minimize")
    for params, value in _finished(journal):
        study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=value))
    while (stopped := _stopped(study, spec, higher_is_better)) is None:
        # Seeded per trial, a resumed search suggests what the undisturbed one would have.
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
        trial = study.ask(space)
        value = score(trial.params)
        if not math.isfinite(value):
            raise TrainingError(
                f"The objective is {value} with {trial.params}: the validation rows do not define it. "
                "Is there only one class among them? Give `search.validation` a larger share."
            )
        study.tell(trial, value)
        _keep(journal, study)
    return Found(study.best_params, study.best_value, len(study.trials), stopped)


def _distribution(each: IntRange | FloatRange | Choice) -> BaseDistribution:
    if isinstance(each, Choice):
        return CategoricalDistribution(each.choices)
    if isinstance(each, IntRange):
        return IntDistribution(each.low, each.high, log=each.log)
    return FloatDistribution(each.low, each.high, log=each.log)


def _stopped(
    study: optuna.Study, spec: SearchSpec, higher_is_better: bool
) -> Literal["trials", "patience", "good_enough"] | None:
    if not study.trials:
        return None
    best = study.best_trial
    if spec.good_enough is not None:
        reached = (
            best.values[0] >= spec.good_enough if higher_is_better else best.values[0] <= spec.good_enough
        )
        if reached:
            return "good_enough"
    if len(study.trials) >= spec.trials:
        return "trials"
    return "patience" if len(study.trials) - 1 - best.number >= spec.patience else None


def _finished(journal: Path | None) -> list[tuple[Params, float]]:
    if journal is None or not journal.exists():
        return []
    return [(params, value) for params, value in json.loads(journal.read_text())]


def _keep(journal: Path | None, study: optuna.Study) -> None:
    """Replace the journal whole: Optuna's own does not open again after a line torn by a kill."""
    if journal is not None:
        staging = journal.with_name(f"{journal.name}.new")
        staging.write_text(json.dumps([(trial.params, trial.value) for trial in study.trials]))
        os.replace(staging, journal)
