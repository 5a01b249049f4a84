"""What a version must do before it goes live: exist, find its features, and score as it was made to."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.backends.coding import Kind
from keepfit.backends.model_registry import ModelRegistry
from keepfit.errors import DeploymentError

_SMOKE_ROWS = 20
_TOLERANCE = 1e-6

Given = Mapping[str, Kind]
"""The features that the model's feature service gives, with their kinds."""


def refuse_unknown_version(registry: ModelRegistry, model: str, version: str) -> None:
    """Refuse a version that is not in the registry.

    Raises:
        DeploymentError: There is no such version.
    """
    if not registry.has(model, version):
        there = registry.versions(model)
        raise DeploymentError(
            f"{model} has no version {version}. There are: {', '.join(there) or 'none'}. Nothing was moved."
        )


def refuse_other_signature(registry: ModelRegistry, model: str, version: str, given: Given) -> None:
    """Refuse a version that would not be given what it takes.

    Raises:
        DeploymentError: Features it needs are not given any more, or are of another kind.
    """
    needed = registry.features(model, version)
    wrong = [
        f"{name} (a {kind}, given {f'as a {given[name]}' if name in given else 'no more'})"
        for name, kind in needed.items()
        if given.get(name) != kind
    ]
    if wrong:
        raise DeploymentError(
            f"Version {version} of {model} takes other features than its feature service gives now: "
            f"{', '.join(wrong)}. Nothing was moved; put them back into the feature service and run "
            "`keepfit apply`, or train a version on those there are."
        )


def try_out(registry: ModelRegistry, model: str, version: str) -> None:
    """Load a version and score a few rows whose scores were recorded when it was made.

    Raises:
        DeploymentError: The scores differ.
    """
    rows = _first_rows(registry.reference(model, version))
    scores, recorded = registry.load(model, version).predict(rows), rows["score"].to_numpy(np.float64)
    apart = float(np.max(np.abs(scores - recorded), initial=0.0))
    if not apart <= _TOLERANCE:
        raise DeploymentError(
            f"Version {version} of {model} scores its own reference rows otherwise than when it was trained, "
            f"by up to {apart:.3g}. Its library may have changed: install the versions of its requirements, "
            "or train it again."
        )


def _first_rows(file: Path) -> pd.DataFrame:
    """Read no more of a sample than is scored."""
    with pq.ParquetFile(file) as reference:
        first = next(reference.iter_batches(_SMOKE_ROWS), None)
        rows = pa.Table.from_batches([first] if first else [], reference.schema_arrow)
    frame: pd.DataFrame = rows.replace_schema_metadata(None).to_pandas()
    return frame
