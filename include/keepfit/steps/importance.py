"""Permutation importance: how much worse a model does once a feature tells it nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from keepfit.plugins import Model
from keepfit.spec import ModelSpec
from keepfit.steps.metrics import find_metric, is_higher_better, measure

ROWS = 3_000
"""A sample of the holdout, as large as this, ranks features as all of it does. More rows tell more than the
same rows shuffled again: one shuffle of so many is as near to the truth as three of 2,000."""


@dataclass(frozen=True)
class Importance:
    """What a feature is worth to a model, in units of its objective."""

    value: float
    """By how much the objective is worse where its values are shuffled; may be below 0 by chance."""


@dataclass(frozen=True)
class Importances:
    """The worth of each feature to one version."""

    objective: str
    rows: int
    features: Mapping[str, Importance]
    """None of them where the rows do not define the objective."""

    @property
    def shares(self) -> dict[str, float]:
        """Return what part of the worth is each feature's; nothing where no feature is worth anything."""
        worth = {name: max(0.0, each.value) for name, each in self.features.items()}
        total = sum(worth.values())
        return {name: value / total for name, value in worth.items()} if total else {}

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read back what `to_json` returned, now or when it told more."""
        features = {name: Importance(each["value"]) for name, each in stored["features"].items()}
        return cls(stored["objective"], stored["rows"], features)


def importances(model: Model, holdout: pd.DataFrame, features: Sequence[str], spec: ModelSpec) -> Importances:
    """Shuffle one feature after the other and measure what that costs.

    Features that say the same share their worth badly: each alone can be spared.

    Args:
        model: The model.
        holdout: Rows it was not trained on, with its features and `label`.
        features: Its features.
        spec: Its objective and seed.
    """
    chance = np.random.default_rng(spec.train.seed)
    rows = _sample(holdout, chance)
    label, metric = rows["label"].to_numpy(np.float64), spec.evaluate.objective
    frame = rows[list(features)]

    def value(tried: pd.DataFrame) -> float:
        return measure((metric,), label, np.asarray(model.predict(tried), np.float64))[metric]

    as_it_is = value(frame)
    if not np.isfinite(as_it_is):
        return Importances(metric, len(rows), {})
    sign = 1 if is_higher_better(find_metric(metric)) else -1
    found = {}
    for name in features:
        # Drawn for each feature, also where nothing is to be learnt, so that one does not change the next.
        order = chance.permutation(len(rows))
        if frame[name].nunique(dropna=False) == 1:
            found[name] = Importance(0.0)
            continue
        shuffled = frame.assign(**{name: frame[name].array[order]})
        found[name] = Importance(sign * (as_it_is - value(shuffled)))
    return Importances(metric, len(rows), found)


def _sample(rows: pd.DataFrame, chance: np.random.Generator) -> pd.DataFrame:
    if len(rows) > ROWS:
        rows = rows.iloc[np.sort(chance.choice(len(rows), ROWS, replace=False))]
    return rows.reset_index(drop=True)
