"""Which rows' labels the monitoring of a window would have joined, had every row been predicted."""

from pathlib import Path

import pandas as pd

from keepfit.backends.engine import Connection, identifier, identifiers, scan
from keepfit.spec import Window
from keepfit.spec.model import ModelSpec
from keepfit.steps.history import ROW
from keepfit.steps.join_labels import join_labels
from keepfit.steps.labels import Labels
from keepfit.steps.made_predictions import MadePredictions
from keepfit.steps.training_rows import EVENT_TIME, LABEL

PREDICTED = "predicted_rows"


def predict_all(connection: Connection, history: Path, key: tuple[str, ...]) -> None:
    """Show the engine a history as predictions; the score is the row's number, which tells rows apart."""
    columns = identifiers(dict.fromkeys((*key, EVENT_TIME)))
    connection.execute(
        f"CREATE TEMP VIEW {PREDICTED} AS SELECT {columns}, CAST({identifier(ROW)} AS DOUBLE) AS score, "
        f"'' AS version, 'champion' AS role, '' AS run_id FROM {scan([history])}"
    )


def due_rows(
    connection: Connection, labels: Labels, spec: ModelSpec, window: Window, scratch: Path
) -> pd.DataFrame:
    """Return `row number`, `event_time` and `label` of the rows whose label became known in a window.

    Args:
        connection: A fresh connection of the engine with the labels, and a history by `predict_all`.
        labels: The labels.
        spec: The model.
        window: The window.
        scratch: A folder for temporary files.
    """
    out = scratch / f"due_{window.key}.parquet"
    made = MadePredictions((PREDICTED,))
    join_labels(connection, made, labels, window=window, delay=spec.label.delay, out=out)
    joined: pd.DataFrame = pd.read_parquet(out, columns=[EVENT_TIME, "score", LABEL])
    numbered: pd.DataFrame = joined.assign(**{ROW: joined["score"].astype("int64")})
    return numbered[[ROW, EVENT_TIME, LABEL]]
