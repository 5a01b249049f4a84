"""All rows of a model's history with their features, labelled or not, in one numbered file."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from keepfit.backends.engine import engine as open_engine
from keepfit.backends.engine import identifier, identifiers, literal, scan
from keepfit.backends.lake import Lake
from keepfit.spec import DatasetSpec, ModelSpec, Window
from keepfit.spec.project import EngineSpec
from keepfit.steps.training_file import TrainingFile
from keepfit.steps.training_rows import EVENT_TIME, LABEL, TrainingRows
from keepfit.steps.training_set import TrainingSet, build_training_set

if TYPE_CHECKING:
    from keepfit.backends.feature_store import FeatureStore

ROW = "row number"
"""A row's number in the file; a space keeps it apart from every declared column."""
_ASKED_AT = "event_timestamp"


def build_history(
    spec: ModelSpec,
    datasets: Mapping[str, DatasetSpec],
    store: "FeatureStore",
    lake: Lake,
    *,
    as_of: datetime,
    out: Path,
    scratch: Path,
    engine: EngineSpec,
    chunk_rows: int = 100_000,
) -> TrainingSet:
    """Write the training set as of a moment, and with it the rows that were predicted and have no label.

    Args:
        spec: The model, which takes all history.
        datasets: The project's datasets.
        store: Its feature store.
        lake: Where datasets are published.
        as_of: The moment from which the past is seen.
        out: The Parquet file to write: `row number`, key, `event_time`, features and `label`.
        scratch: A folder for temporary files.
        engine: The bounds of the SQL engine.
        chunk_rows: How many rows are joined with their features at once.

    Returns:
        The training set; its path is the history's.

    Raises:
        TrainingError: The rows cannot train the model, with the reason.
        NotReadyError: A dataset it needs is not published at all.
    """
    labelled, rest = scratch / "labelled.parquet", scratch / "rest.parquet"
    built = build_training_set(
        spec, datasets, store, lake, as_of=as_of, out=labelled, scratch=scratch / "labelled", engine=engine
    )
    key, service = datasets[spec.entities.dataset].key, store.service(spec.features)
    slices = tuple(each.column for each in spec.evaluate.gate.slices)
    with open_engine(engine, scratch / "rest") as connection:
        rows = TrainingRows(connection, lake, built.versions, spec, datasets, as_of=as_of)
        with TrainingFile(rest, key, service, slices) as file:
            for chunk in rows.chunks(chunk_rows, usable=False):
                asked = (
                    chunk.to_pandas().rename(columns={EVENT_TIME: _ASKED_AT}).assign(**{LABEL: float("nan")})
                )
                joined = store.historical(asked, service.name, built.versions)
                file.add(joined.rename(columns={_ASKED_AT: EVENT_TIME}))
        files = [labelled, rest] if file.rows else [labelled]
        order = identifiers(dict.fromkeys((EVENT_TIME, *key)))
        connection.execute(
            f"COPY (SELECT row_number() OVER (ORDER BY {order}) - 1 AS {identifier(ROW)}, * "
            f"FROM {scan(files)} ORDER BY {order}) TO {literal(str(out))} (FORMAT parquet)"
        )
    return built


def known_at(
    history: Path,
    spec: ModelSpec,
    datasets: Mapping[str, DatasetSpec],
    lake: Lake,
    versions: Mapping[str, int],
    *,
    as_of: datetime,
    scratch: Path,
    engine: EngineSpec,
    without: Sequence[Window] = (),
) -> pd.DataFrame:
    """Return `row number` and `label` of the rows that a training as of a moment would take, in its order.

    They are selected as `build_training_set` selects them, so that they are the same rows with the labels
    known then, whatever has become known since.
    """
    with open_engine(engine, scratch) as connection:
        rows = TrainingRows(connection, lake, versions, spec, datasets, as_of=as_of, without=without)
        found: pd.DataFrame = rows.found_in(history, ROW).to_pandas()
    return found


def rows_of(history: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Return the known rows of a history with the labels they had then."""
    rows = history.iloc[known[ROW].to_numpy()].reset_index(drop=True)
    return rows.assign(**{LABEL: known[LABEL].to_numpy()})
