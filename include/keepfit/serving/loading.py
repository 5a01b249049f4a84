"""From a version's files to what answers: verified, tried out, and in its fastest way."""

import numpy as np
import pandas as pd

from keepfit.backends.coded_model import CodedModel
from keepfit.backends.row_scorers import RowCoder, choose_scorer
from keepfit.errors import DeploymentError
from keepfit.serving.batching import Batcher
from keepfit.serving.copies import Loaded
from keepfit.serving.logs import Logs
from keepfit.serving.version import ServedVersion
from keepfit.spec import ServingSpec

_TOLERANCE = 1e-6
_SMOKE_ROWS = 200


def make_ready(model: str, version: str, loaded: Loaded, settings: ServingSpec, logs: Logs) -> ServedVersion:
    """Prepare a version to answer.

    Raises:
        DeploymentError: It scores its own reference rows otherwise than when it was made.
    """
    trained, rows = loaded
    reference = trained.coding.matrix(rows)
    _refuse_other_scores(model, version, trained, rows)
    scorer = choose_scorer(trained, reference)
    coder = RowCoder(trained.coding)
    served = ServedVersion(model, version, coder, scorer, logs.log_of(coder.kinds))
    if not scorer.slow:
        return served
    batcher: Batcher[list[float], float] = Batcher(
        served.score_now, name=f"The model {model}", most=settings.max_rows, seconds=settings.timeout_seconds
    )
    return ServedVersion(model, version, coder, scorer, served.log, batcher)


def _refuse_other_scores(model: str, version: str, trained: CodedModel, rows: pd.DataFrame) -> None:
    some = rows.head(_SMOKE_ROWS)
    apart = np.max(np.abs(trained.predict(some) - some["score"].to_numpy(np.float64)), initial=0.0)
    if not apart <= _TOLERANCE:
        raise DeploymentError(
            f"Version {version} of {model} scores its own reference rows otherwise than when it was trained, "
            f"by up to {apart:.3g}. Its library may have changed: install the versions of its requirements."
        )
