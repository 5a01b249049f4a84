"""Sketch what a version was trained on, so that windows can be held against all of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from keepfit.backends.coded_model import CodedModel
from keepfit.backends.engine import Connection, scan
from keepfit.backends.sketches import Kind, Sketch, sketch_columns, sketch_values

_ROWS = "rows_to_sketch"


def sketch_training(
    connection: Connection, model: CodedModel, rows: pd.DataFrame, holdout_scores: pd.Series
) -> dict[str, Sketch]:
    """Sketch the features of all training rows, and the scores of the rows held out of the training."""
    features = list(model.coding.features)
    connection.register(_ROWS, pa.Table.from_pandas(rows[features], preserve_index=False))
    found = sketch_columns(connection, _ROWS, features, _categories(model.coding.features))
    connection.unregister(_ROWS)
    return {**found, "score": sketch_values(holdout_scores.to_numpy("float64"))}


def sketch_sample(
    connection: Connection, sample: Path, features: Mapping[str, Kind], columns: Sequence[str]
) -> dict[str, Sketch]:
    """Sketch a version's reference sample, all there is of one registered before there were sketches."""
    return sketch_columns(connection, scan([sample]), columns, _categories(features))


def _categories(features: Mapping[str, Kind]) -> dict[str, Kind | None]:
    return {name: kind for name, kind in features.items() if kind == "category"}
