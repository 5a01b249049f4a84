"""What keepfit's own models have in common: a coding in front of a native learner."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.backends.coding import Coding, Matrix
from keepfit.backends.model_files import Card, Task, seal


class CodedModel(ABC):
    """A model that scores coded rows.

    A subclass scores a float64 matrix with NaN for what is missing, and writes one native file that another
    process on another machine reads back to the same scores. It never pickles.
    """

    flavor: ClassVar[str]
    file: ClassVar[str]
    """The native file's name in the model's folder."""

    def __init__(self, coding: Coding, task: Task) -> None:
        """Put a coding in front of a learner."""
        self.coding = coding
        self.task: Task = task

    def predict(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Score rows: the probability of the positive class, or the value."""
        if frame.empty:
            return np.empty(0, dtype=np.float64)
        return self.score(self.coding.matrix(frame))

    def save(self, folder: Path) -> None:
        """Write the native file and the card into an existing, empty folder."""
        self.write(folder / self.file)
        seal(folder, Card(self.flavor, self.task, self.coding))

    @abstractmethod
    def score(self, matrix: Matrix) -> NDArray[np.float64]:
        """Score rows that are already coded."""

    @abstractmethod
    def write(self, path: Path) -> None:
        """Write the native file."""
