"""Hold a training set and a model that were made again against what was recorded of the first."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keepfit.backends import model_files
from keepfit.steps.training_set import TrainingSet


@dataclass(frozen=True)
class Finding:
    """One thing that is as it was, or is not."""

    same: bool
    text: str


def compare_sets(recorded: Mapping[str, Any], again: TrainingSet) -> Finding:
    """Say whether a training set has the same bytes, and if not, what of it differs."""
    was, now = recorded["digest"], again.digest
    if was == now:
        return Finding(True, f"training set: the same bytes, {again.rows} rows, SHA-256 {now}")
    if recorded["rows_digest"] == again.rows_digest:
        why = "the same rows in the same order, but another version of a library writes them otherwise"
    elif recorded["entities_digest"] != again.entities_digest:
        why = f"other rows or labels ({recorded['rows']} rows then, {again.rows} now)"
    else:
        why = f"the same {again.rows} rows and labels, but other values of features"
    return Finding(False, f"training set: {why}. SHA-256 was {was} and is {now}")


def compare_models(recorded: Mapping[str, str], reference: Path, folder: Path, threads: int) -> Finding:
    """Say whether a model has the same bytes, or else the same predictions.

    Args:
        recorded: The SHA-256 of each of the first model's files.
        reference: Rows with the `score` that the first model gave them, as Parquet.
        folder: The model made again.
        threads: How many threads both were trained with.
    """
    made = model_files.digests(folder)
    if made == recorded:
        return Finding(True, f"model: the same bytes, SHA-256 of {', '.join(sorted(made))}")
    model = model_files.load(folder, made)
    sample = pd.read_parquet(reference)
    try:
        scores = model.predict(sample)
    except KeyError as missing:
        return Finding(False, f"model: it takes the feature {missing}, which the first one did not")
    apart = np.abs(scores - sample["score"].to_numpy())
    if not apart.any():
        # A skops file holds memory addresses and the time of its writing.
        return Finding(True, f"model: other bytes, the same predictions on all {len(sample)} reference rows")
    why = "" if threads == 1 else f" It was trained with {threads} threads, which add up in any order."
    return Finding(
        False,
        f"model: its predictions differ on {int((apart > 0).sum())} of {len(sample)} reference rows, "
        f"by at most {apart.max():.3g}.{why}",
    )
