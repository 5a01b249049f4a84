"""The newly labelled rows that a version answered, with the features it saw."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from keepfit.backends.engine import Connection, columns_of, identifier, identifiers, literal, moment
from keepfit.errors import SchemaError
from keepfit.spec import Window
from keepfit.steps.labels import Labels
from keepfit.steps.made_predictions import ANSWERED, MadePredictions, made_rows

ROWS = 200_000
"""More rows than these make the answer no surer, since days are drawn, not rows."""


def answered_by(labelled: pd.DataFrame, version: str, since: datetime) -> pd.DataFrame:
    """Return the labelled predictions that a version answered with, of rows later than a moment."""
    own = (labelled["version"] == version) & labelled["role"].isin(ANSWERED)
    return labelled[own & (labelled["event_time"] > since)]


def labelled_features(
    connection: Connection,
    made: MadePredictions,
    labels: Labels,
    file: Path,
    *,
    features: Sequence[str],
    version: str,
    since: datetime,
    until: datetime,
) -> pd.DataFrame:
    """Return `event_time`, `label`, `score` and the features of rows that a version answered.

    Args:
        connection: The engine, with predictions and labels as tables.
        made: The tables of the model's predictions.
        labels: The labels.
        file: What `join_labels` wrote.
        features: The features that are wanted.
        version: Whose answers.
        since: Rows up to then are left out.
        until: Rows from then on are not there.

    Returns:
        The rows in the order of time; a part of them, drawn by key, where they are very many.

    Raises:
        SchemaError: The predictions do not hold a feature.
    """
    table = made.batch[0]
    if gone := [name for name in features if name not in columns_of(connection, identifier(table))]:
        raise SchemaError(f"the predictions do not hold {', '.join(gone)}, which a challenger would take")
    within = Window(since.replace(microsecond=0), until)
    rows = made_rows(connection, made, labels.kinds(connection), within, features)
    by = tuple(dict.fromkeys((*labels.key, "event_time", "score", "version", "role")))
    wanted = identifiers(dict.fromkeys(("event_time", "label", "score", *features)))
    own = f"version = {literal(version)} AND role IN ({', '.join(map(literal, ANSWERED))})"
    named, key = identifiers(by), identifiers(labels.key)
    labelled = (
        f"SELECT {named}, label FROM read_parquet({literal(str(file))}) "
        f"WHERE {own} AND event_time > {moment(since)}"
    )
    last = f"row_number() OVER (PARTITION BY {named} ORDER BY asked_at DESC, made_by DESC) = 1"
    found: pd.DataFrame = connection.execute(
        f"SELECT {wanted} FROM (SELECT * FROM ({rows}) JOIN ({labelled}) USING ({named}) QUALIFY {last} "
        f"ORDER BY md5(concat_ws('|', {key})), event_time LIMIT {ROWS}) ORDER BY event_time, {key}, score"
    ).df()
    return found
