"""One row's features as the numbers a learner sees: `Coding.matrix` without pandas."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from keepfit.backends.coding import LARGEST, Coding, category_text

Value = float | int | str | bool | None
Numbers = list[float]
_MISSING = math.nan


class RowCoder:
    """Codes rows one at a time, to the same numbers as the coding does a frame of them."""

    def __init__(self, coding: Coding) -> None:
        """Prepare a coding's levels for look-up."""
        self.names = tuple(coding.features)
        positions = {
            name: {level: float(at) for at, level in enumerate(levels)}
            for name, levels in coding.levels.items()
        }
        self.numbers = tuple(name for name, kind in coding.features.items() if kind == "number")
        self.kinds = {
            name: "string" if kind == "category" else "float64" for name, kind in coding.features.items()
        }
        self._categories = tuple((at, self.names[at]) for at in coding.categories)
        self._kinds = tuple(
            (name, positions[name] if kind == "category" else None) for name, kind in coding.features.items()
        )

    def code(self, values: Mapping[str, Value]) -> Numbers:
        """Code one row, whose values are of their features' kinds.

        Raises:
            KeyError: A feature is absent.
            TypeError: A number's place holds a text.
        """
        coded = []
        for name, levels in self._kinds:
            value = values[name]
            if value is None:
                coded.append(_MISSING)
            elif levels is None:
                # Most are floats that fit, and a call costs as much as all else.
                fits = value.__class__ is float and -LARGEST <= value <= LARGEST
                coded.append(value if fits else number(value))  # type: ignore[arg-type]
            else:
                coded.append(category(value, levels))
        return coded

    def given(self, values: Mapping[str, Value], coded: Numbers) -> list[Value]:
        """Return what was given to the model: numbers as it saw them, categories as texts."""
        shown: list[Value] = list(coded)
        for at, name in self._categories:
            value = values[name]
            shown[at] = value if isinstance(value, str) or value is None else category_text(value)
        return shown

    def matrix(self, rows: list[Numbers]) -> NDArray[np.float64]:
        """Lay coded rows under each other."""
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.names))


def number(value: Value) -> float:
    """Return a number or a truth value as a learner sees it: what is too large is missing."""
    if isinstance(value, str) or value is None:
        raise TypeError(f"{value!r} is no number")
    try:
        known = float(value)
    except OverflowError:
        return _MISSING
    return known if abs(known) <= LARGEST else _MISSING


def category(value: Value, levels: Mapping[str, float]) -> float:
    """Return the position of a category's level; one never seen in training is missing."""
    if isinstance(value, float) and math.isnan(value):
        return _MISSING
    return levels.get(value if isinstance(value, str) else category_text(value), _MISSING)
