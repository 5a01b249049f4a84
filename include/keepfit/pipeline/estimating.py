"""The estimate without labels of a monitoring run: told beside the rest, and a signal without a rule."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from keepfit.errors import RegistryError
from keepfit.pipeline.champion import LiveVersion
from keepfit.pipeline.describing import HOLDOUT_SCORES
from keepfit.pipeline.monitored import PREDICTIONS, tables
from keepfit.pipeline.snapshot import Snapshot
from keepfit.policy import Score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from keepfit.steps.estimate import Estimated

ROWS = 200_000
"""A sample of the window's rows, as large as this, tells as much as all of them."""


def estimate_window(snapshot: Snapshot, champion: LiveVersion) -> dict[str, Any]:
    """Estimate how the champion does on all it predicted in the window, labelled or not, or say why not."""
    import pandas as pd

    from keepfit.steps.estimate import LIMIT, Estimated, estimate

    spec = snapshot.the_model
    if spec.task != "classification":
        return _none("regression would need another method")
    try:
        kept = champion.registry.attached(spec.name, champion.version, HOLDOUT_SCORES)
    except RegistryError as error:
        return _none(str(error))
    found = estimate(_scores(snapshot, champion.version), pd.read_parquet(kept), spec.predict.threshold)
    if not isinstance(found, Estimated):
        return _none(found)
    named = [name for name in found.metrics if name in ("roc_auc", "log_loss", "f1")]
    values = ", ".join(
        f"{name} {found.metrics[name]:.4f} (holdout {found.reference[name]:.4f})"
        for name in named
        if found.metrics[name] is not None and found.reference[name] is not None
    )
    told = f"estimated without labels on {found.rows:,} rows: {values}; {LIMIT}"
    score = _of_objective(found, spec.evaluate.objective)
    return {**asdict(found), "limit": LIMIT, "reason": None, "told": told, "score": asdict(score)}


def _of_objective(found: "Estimated", name: str) -> Score:
    value = found.metrics.get(name)
    if value is None:
        return Score(reason=f"{name} is not estimated without labels")
    return Score(value, found.errors.get(name), "")


def _none(reason: str) -> dict[str, Any]:
    told = f"not estimated without labels: {reason}"
    return {"metrics": None, "reason": reason, "told": told, "score": asdict(Score(reason=reason))}


def _scores(snapshot: Snapshot, version: str) -> "NDArray[np.float64]":
    import numpy as np

    from keepfit.backends.engine import literal
    from keepfit.steps.made_predictions import between

    within = between("event_time", snapshot.the_window)
    query = (
        f"SELECT score FROM {PREDICTIONS} WHERE version = {literal(version)} AND {within} "
        f"AND isfinite(score) ORDER BY hash(event_time, score) LIMIT {ROWS}"
    )
    with tables(snapshot, PREDICTIONS) as connection:
        found = connection.execute(query).fetchnumpy()["score"]
    return np.asarray(found, dtype=np.float64)
