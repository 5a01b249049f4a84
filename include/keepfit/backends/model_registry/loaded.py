"""A version that was read from the registry."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.backends.coded_model import CodedModel


@dataclass(frozen=True)
class LoadedModel:
    """A version ready to score."""

    name: str
    version: str
    model: CodedModel

    @property
    def flavor(self) -> str:
        """How its files are read."""
        return self.model.flavor

    @property
    def features(self) -> tuple[str, ...]:
        """The columns it takes, in order."""
        return tuple(self.model.coding.features)

    def predict(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Score rows: the probability of the positive class, or the value."""
        return self.model.predict(frame)

    def save(self, folder: Path) -> None:
        """Write the model's files into an existing, empty folder."""
        self.model.save(folder)
