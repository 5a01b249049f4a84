"""scikit-learn's tree ensembles, walked by treelite. The only door to treelite."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.backends.coded_model import CodedModel
from keepfit.backends.coding import Matrix
from keepfit.backends.row_scorers.choose import Score
from keepfit.backends.trainers.sklearn import SkopsModel

_FLOAT32 = ("RandomForest", "ExtraTrees")
"""Ensembles that look at float32: treelite has to be given the same."""


def scorer(model: CodedModel) -> Score | None:
    """Return treelite's way to score a lone tree ensemble; None for anything else, or what it cannot read."""
    if not isinstance(model, SkopsModel) or len(model.pipeline.steps) != 1:
        return None
    estimator = model.pipeline.steps[0][1]
    if not type(estimator).__module__.startswith("sklearn.ensemble"):
        return None
    import treelite

    try:
        trees = treelite.sklearn.import_model(estimator)
    except (treelite.TreeliteError, NotImplementedError, TypeError, ValueError, AttributeError):
        return None
    return _walker(trees, _seen_as(estimator), _column(model))


def _walker(trees: Any, seen_as: type[np.floating[Any]], column: int) -> Score:
    import treelite

    def score(matrix: Matrix) -> NDArray[np.float64]:
        given = np.ascontiguousarray(matrix, dtype=seen_as)
        found = treelite.gtil.predict(trees, given, nthread=1)[:, 0, :]
        return np.asarray(found[:, column if found.shape[1] > 1 else 0], dtype=np.float64)

    return score


def _seen_as(estimator: Any) -> type[np.floating[Any]]:
    return np.float32 if type(estimator).__name__.startswith(_FLOAT32) else np.float64


def _column(model: SkopsModel) -> int:
    return list(model.pipeline.classes_).index(1) if model.task == "classification" else 0
