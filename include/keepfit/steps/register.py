"""Put a judged challenger into the registry, with where it comes from and a sample of its training rows."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keepfit.backends import model_files
from keepfit.backends.model_registry import ModelRegistry
from keepfit.backends.version import VersionDetails
from keepfit.plugins import Model
from keepfit.steps.evaluate import Evaluation

REFERENCE_ROWS = 20_000
"""Enough for drift to come out as with all rows, and small enough to read in any task."""


@dataclass(frozen=True)
class Lineage:
    """Where a version comes from; each field becomes the tag `keepfit.<field>`."""

    run_id: str
    as_of: str
    verdict: str
    trainer: str
    data_window: str
    """From the first to the last training row."""
    data_digest: str
    """SHA-256 of the training set's file."""
    rows: int
    holdout: str
    feature_service: str
    registry_digest: str
    spec_digest: str
    seed: int
    git_commit: str | None = None
    pins_sha256: str | None = None
    """Of the record from which the training set can be built again."""
    decision: str | None = None
    reason: str | None = None
    mean_label: float | None = None
    """Of the holdout: `performance` asks whether a champion does better than that."""

    def tags(self) -> dict[str, str]:
        """Return the tags; what is unknown has none."""
        return {f"keepfit.{name}": str(value) for name, value in asdict(self).items() if value is not None}


def register(
    registry: ModelRegistry,
    model: str,
    folder: Path,
    evaluation: Evaluation,
    lineage: Lineage,
    *,
    params: Mapping[str, Any],
    reference: Path,
    training_set: Path,
    pins: Path | None = None,
) -> str:
    """Register a model's folder and return its version; a run that registers again gets the same one.

    Args:
        registry: Where to.
        model: The model's name.
        folder: The challenger's folder.
        evaluation: Its metrics, the champion's and the baseline's.
        lineage: Where it comes from.
        params: What it was trained with.
        reference: The sample made by `reference_sample`, as Parquet.
        training_set: What it was trained on, as Parquet.
        pins: The record from which that can be built again, as JSON.
    """
    card = model_files.read_card(folder)
    details = VersionDetails(
        task=card.task,
        features=card.coding.features,
        files=model_files.digests(folder),
        reference_sha256=model_files.sha256(reference),
        metrics=_all_metrics(evaluation),
        params={name: str(value) for name, value in params.items()},
        tags=lineage.tags(),
    )
    return registry.register(
        model,
        folder,
        details,
        reference=reference,
        training_set=training_set,
        digest=lineage.data_digest,
        pins=pins,
    )


def reference_sample(
    model: Model, rows: pd.DataFrame, features: Mapping[str, str], seed: int
) -> pd.DataFrame:
    """Return training rows with their `score` and `label`: at most 20,000, in the order of time."""
    chosen = rows
    if len(rows) > REFERENCE_ROWS:
        drawn = np.random.default_rng(seed).choice(len(rows), REFERENCE_ROWS, replace=False)
        chosen = rows.iloc[np.sort(drawn)]
    sample = chosen[list(features)].reset_index(drop=True)
    label = chosen["label"].to_numpy(np.float64)
    return sample.assign(score=model.predict(sample), label=label)


def _all_metrics(evaluation: Evaluation) -> dict[str, float]:
    groups = {
        "": evaluation.metrics,
        "champion.": evaluation.champion or {},
        "baseline.": evaluation.baseline,
    }
    named = {f"{prefix}{name}": value for prefix, group in groups.items() for name, value in group.items()}
    return {name: value for name, value in named.items() if math.isfinite(value)}
