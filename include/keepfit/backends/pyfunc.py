"""How MLflow reads a model of keepfit's, for those who use `mlflow.pyfunc.load_model`.

keepfit itself does not come this way: it reads through `model_files`, against the recorded SHA-256s.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.backends import model_files
from keepfit.backends.coded_model import CodedModel


class Scorer:
    """A model with the signature MLflow expects."""

    def __init__(self, model: CodedModel) -> None:
        """Wrap a model."""
        self.model = model

    def predict(self, data: pd.DataFrame) -> NDArray[np.float64]:
        """Score rows."""
        return self.model.predict(data)


def _load_pyfunc(data_path: str) -> Scorer:
    folder = Path(data_path)
    return Scorer(model_files.load(folder, model_files.digests(folder)))
