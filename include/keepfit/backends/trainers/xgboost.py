"""XGBoost, an extra: histograms, categories as they are, and a model in Universal Binary JSON."""

import re
import warnings
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.backends.coded_model import CodedModel
from keepfit.backends.coding import Coding, Matrix
from keepfit.backends.model_files import Card, Task
from keepfit.backends.trainers.params import own_params, take_rounds
from keepfit.errors import TrainingError, UnknownPluginError
from keepfit.plugins import TrainingTask


class XGBoostModel(CodedModel):
    """A Booster behind a coding."""

    flavor = "xgboost"
    file = "model.ubj"

    def __init__(self, coding: Coding, task: Task, booster: Any) -> None:
        """Put a coding in front of a Booster."""
        super().__init__(coding, task)
        self.booster = booster
        booster.set_param({"nthread": 1})

    def score(self, matrix: Matrix) -> NDArray[np.float64]:
        """Score coded rows on one thread."""
        rows = _rows(matrix, self.coding, threads=1)
        return np.asarray(self.booster.predict(rows), dtype=np.float64)

    def write(self, path: Path) -> None:
        """Write XGBoost's own binary."""
        path.write_bytes(self.booster.save_raw("ubj"))


def train(task: TrainingTask) -> XGBoostModel:
    """Train a Booster; the same task gives the same bytes."""
    coding = Coding.learn(task.frame, task.categorical)
    return XGBoostModel(coding, task.task, _boost(task, coding))


def read(folder: Path, card: Card) -> XGBoostModel:
    """Read a model back from its binary."""
    booster = _xgboost().Booster(model_file=str(folder / XGBoostModel.file))
    return XGBoostModel(card.coding, card.task, booster)


def _boost(task: TrainingTask, coding: Coding) -> Any:
    xgboost = _xgboost()
    params = own_params(task)
    rounds = take_rounds(params)
    settings = {
        "objective": "binary:logistic" if task.task == "classification" else "reg:squarederror",
        "tree_method": "hist",
        **params,
        "seed": task.seed,
        "nthread": task.threads,
        "verbosity": 1,
    }
    rows = _rows(coding.matrix(task.frame), coding, task.threads, task.label)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            booster = xgboost.train(settings, rows, rounds)
        except (xgboost.core.XGBoostError, ValueError, TypeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise TrainingError(
                f"XGBoost does not train with {params}: {reason}. Correct `params`."
            ) from error
    _refuse_unknown([str(each.message) for each in said])
    return booster


def _rows(matrix: Matrix, coding: Coding, threads: int, label: NDArray[np.float64] | None = None) -> Any:
    return _xgboost().DMatrix(
        matrix,
        label,
        feature_names=list(coding.features),
        feature_types=["c" if kind == "category" else "float" for kind in coding.features.values()],
        enable_categorical=True,
        nthread=threads,
    )


def _xgboost() -> ModuleType:
    try:
        return import_module("xgboost")
    except ImportError:
        raise UnknownPluginError(
            "This model needs XGBoost, which is an extra. Install it: pip install 'keepfit[xgboost]'"
        ) from None


def _refuse_unknown(said: list[str]) -> None:
    """Refuse a parameter XGBoost does not know: it only warns, and trains without it."""
    for text in said:
        if unknown := re.search(r"Parameters: \{(.*)\} are not used", text):
            raise TrainingError(
                f"XGBoost knows no parameter {unknown[1].strip()}. "
                "Correct `params`: https://xgboost.readthedocs.io/en/stable/parameter.html lists them."
            )
