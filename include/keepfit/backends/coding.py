"""How a frame of features becomes the matrix of numbers a learner sees. The coding is part of the model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.errors import FeatureStoreError

Kind = Literal["number", "category"]
Matrix = NDArray[np.float64]
LARGEST = float(np.finfo(np.float32).max)
"""The largest number that every learner takes: some hold their numbers as float32."""


@dataclass(frozen=True)
class Coding:
    """The features of a model in order, and the levels of each category.

    A number stays itself, a truth value is 0 or 1, a category is the position of its level. What is missing,
    infinite, too large for a float32, or a category never seen in training is NaN.
    """

    features: Mapping[str, Kind]
    levels: Mapping[str, tuple[str, ...]]

    @classmethod
    def learn(cls, frame: pd.DataFrame, categorical: Iterable[str]) -> "Coding":
        """Take features and levels from training rows."""
        categories = set(categorical)
        features: dict[str, Kind] = {
            str(name): "category" if name in categories else "number" for name in frame.columns
        }
        levels = {
            name: tuple(sorted(map(category_text, pd.factorize(frame[name])[1])))
            for name in features
            if name in categories
        }
        return cls(features, levels)

    @property
    def categories(self) -> tuple[int, ...]:
        """The positions of the categories among the features."""
        return tuple(at for at, kind in enumerate(self.features.values()) if kind == "category")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The positions of the numbers among the features."""
        return tuple(at for at, kind in enumerate(self.features.values()) if kind == "number")

    def matrix(self, frame: pd.DataFrame) -> Matrix:
        """Code rows as float64, one column per feature; other columns of the frame are ignored.

        Raises:
            FeatureStoreError: A feature is absent, or holds something else than its kind.
        """
        if absent := [name for name in self.features if name not in frame.columns]:
            raise FeatureStoreError(
                f"The model needs the features {', '.join(absent)}, which are not among the columns given. "
                "Put them back into its feature service, or train it again without them."
            )
        coded = np.empty((len(frame), len(self.features)), dtype=np.float64)
        for at, (name, kind) in enumerate(self.features.items()):
            coded[:, at] = self._category(frame[name]) if kind == "category" else _number(frame[name])
        return coded

    def _category(self, values: "pd.Series[Any]") -> Matrix:
        codes, seen = pd.factorize(values)
        levels = pd.Index(self.levels[str(values.name)], dtype=object)
        known = levels.get_indexer(pd.Index([category_text(each) for each in seen], dtype=object))
        at: Matrix = np.append(known, -1)[codes].astype(np.float64)
        at[at < 0] = np.nan
        return at


def category_text(value: Any) -> str:
    """Write a category the way levels are written."""
    # A whole number turns into a float as soon as a value beside it is missing.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _number(values: "pd.Series[Any]") -> Matrix:
    if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_timedelta64_dtype(values):
        raise FeatureStoreError(
            f"The feature {values.name!r} holds times, which no learner takes. "
            "Make a number of them (an hour, a duration in minutes) in the transform."
        )
    try:
        coded = _floats(values)
    except (ValueError, TypeError) as error:
        raise FeatureStoreError(
            f"The feature {values.name!r} holds something that is no number ({error}). "
            "Declare it as String in features.py if it is a category, else correct its transform."
        ) from error
    coded[np.abs(coded) > LARGEST] = np.nan
    return coded


def _floats(values: "pd.Series[Any]") -> Matrix:
    try:
        return pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    except OverflowError:
        return _floats(values.map(_bounded))


def _bounded(value: Any) -> Any:
    """Return a value, or nothing for an integer that no float holds."""
    return None if isinstance(value, int) and abs(value) > LARGEST else value
