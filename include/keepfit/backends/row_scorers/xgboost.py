"""XGBoost: predicting in place, without a DMatrix."""

import numpy as np
from numpy.typing import NDArray

from keepfit.backends.coded_model import CodedModel
from keepfit.backends.coding import Matrix
from keepfit.backends.row_scorers.choose import Score
from keepfit.backends.trainers.xgboost import XGBoostModel


def scorer(model: CodedModel) -> Score | None:
    """Return a way that leaves out the DMatrix; it is most of a row's cost."""
    if not isinstance(model, XGBoostModel):
        return None
    booster = model.booster

    def score(matrix: Matrix) -> NDArray[np.float64]:
        return np.asarray(booster.inplace_predict(matrix, validate_features=False), dtype=np.float64)

    return score
