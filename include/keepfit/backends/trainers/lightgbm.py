"""LightGBM, with categories as they are and a model that is a readable text."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keepfit.backends.coded_model import CodedModel
from keepfit.backends.coding import Coding, Matrix
from keepfit.backends.model_files import Card, Task
from keepfit.backends.trainers.params import own_params, take_rounds
from keepfit.errors import TrainingError
from keepfit.plugins import TrainingTask

if TYPE_CHECKING:
    import lightgbm


class LightGBMModel(CodedModel):
    """A Booster behind a coding."""

    flavor = "lightgbm"
    file = "model.txt"

    def __init__(self, coding: Coding, task: Task, booster: "lightgbm.Booster") -> None:
        """Put a coding in front of a Booster."""
        super().__init__(coding, task)
        self.booster = booster

    def score(self, matrix: Matrix) -> NDArray[np.float64]:
        """Score coded rows on one thread."""
        return np.asarray(self.booster.predict(matrix, num_threads=1), dtype=np.float64)

    def write(self, path: Path) -> None:
        """Write LightGBM's text."""
        path.write_text(self.booster.model_to_string())


def train(task: TrainingTask) -> LightGBMModel:
    """Train a Booster; with one thread the same task gives the same bytes."""
    coding = Coding.learn(task.frame, task.categorical)
    return LightGBMModel(coding, task.task, _boost(task, coding))


def read(folder: Path, card: Card) -> LightGBMModel:
    """Read a model back from its text."""
    import lightgbm

    booster = lightgbm.Booster(model_str=(folder / LightGBMModel.file).read_text())
    return LightGBMModel(card.coding, card.task, booster)


def _boost(task: TrainingTask, coding: Coding) -> "lightgbm.Booster":
    import lightgbm

    params = own_params(task)
    rounds = take_rounds(params)
    settings = {
        "objective": "binary" if task.task == "classification" else "regression",
        "deterministic": True,
        "force_row_wise": True,
        **params,
        "seed": task.seed,
        # LightGBM ignores OMP_NUM_THREADS: unset, it takes every core.
        "num_threads": task.threads,
        "verbosity": 0,
    }
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            rows = lightgbm.Dataset(
                coding.matrix(task.frame),
                task.label,
                feature_name=list(coding.features),
                categorical_feature=list(coding.categories),
                params=settings,
            )
            booster = lightgbm.train(settings, rows, rounds)
    except (lightgbm.basic.LightGBMError, ValueError, TypeError) as error:
        raise TrainingError(f"LightGBM does not train with {params}: {error}. Correct `params`.") from error
    _refuse_unknown(said.getvalue())
    booster.free_dataset()
    return booster


def _refuse_unknown(said: str) -> None:
    """Refuse a parameter LightGBM does not know: it only mutters, and trains without it."""
    if unknown := sorted(set(re.findall(r"Unknown parameter: (\S+)", said))):
        raise TrainingError(
            f"LightGBM knows no parameter {', '.join(unknown)}. "
            "Correct `params`: https://lightgbm.readthedocs.io/en/stable/Parameters.html lists them."
        )
