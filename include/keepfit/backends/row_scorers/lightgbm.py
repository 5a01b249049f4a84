"""LightGBM: its Booster on one thread."""

from keepfit.backends.coded_model import CodedModel
from keepfit.backends.row_scorers.choose import Score
from keepfit.backends.trainers.lightgbm import LightGBMModel


def scorer(model: CodedModel) -> Score | None:
    """Return the Booster's own way."""
    return model.score if isinstance(model, LightGBMModel) else None
