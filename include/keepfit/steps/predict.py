"""Score the rows of a window, batch by batch, into one Parquet file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.backends.engine import Connection, EngineError, first_line, identifier, identifiers, moment
from keepfit.backends.select import read_condition
from keepfit.errors import FeatureStoreError, SpecError
from keepfit.plugins import Model
from keepfit.spec import DatasetSpec, ModelSpec, Window

MOMENT, EVENT_TIME = "event_timestamp", "event_time"
POSITIVE = "positive"
_ADDED = ("score", POSITIVE, "version", "role", "run_id")


class GiveFeatures(Protocol):
    """Gives rows their features as known at `event_timestamp`: all rows, in their order."""

    def __call__(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with the features beside them."""


@dataclass(frozen=True)
class Stamp:
    """What each prediction says of the model that made it."""

    version: str
    role: str
    run_id: str


@dataclass(frozen=True)
class Predicted:
    """How many rows were scored."""

    rows: int
    without_features: int
    """Rows whose features were all missing: the model knew nothing of them."""


def entity_rows(
    connection: Connection, table: str, dataset: DatasetSpec, spec: ModelSpec, window: Window
) -> Iterator[pd.DataFrame]:
    """Read the rows to predict, in the order of time and key, a batch at a time.

    Raises:
        SpecError: The model's condition is no condition on a row, or names a column the dataset has not.
    """
    time = identifier(dataset.event_time)
    columns = identifiers(dict.fromkeys((*dataset.key, *spec.entities.columns)))
    within = f"{time} >= {moment(window.start)} AND {time} < {moment(window.end)}"
    where = read_condition(connection, spec.entities.where, f"models/{spec.name}.yaml: entities.where")
    wanted = f"{within} AND {where}"
    order = identifiers(dict.fromkeys((dataset.event_time, *dataset.key)))
    chosen = f"SELECT {columns}, {time} AS {MOMENT} FROM {table}"
    query = f"{chosen} WHERE {wanted} ORDER BY {order}"
    try:
        batches = connection.execute(query).to_arrow_reader(spec.predict.batch_rows)
    except EngineError as error:
        raise SpecError(
            f"models/{spec.name}.yaml: entities: {first_line(error)}. Correct `where` or `columns`: "
            f"the dataset {dataset.name!r} has published the columns they can use."
        ) from error
    for batch in batches:
        yield batch.to_pandas()


def predict(
    batches: Iterable[pd.DataFrame],
    give_features: GiveFeatures,
    model: Model,
    stamp: Stamp,
    *,
    key: Mapping[str, str],
    features: Mapping[str, str],
    out: Path,
    threshold: float | None = None,
) -> Predicted:
    """Score batch after batch and write each before the next is read.

    Args:
        batches: Rows with key and `event_timestamp`.
        give_features: Gives a batch its features.
        model: Scores them.
        stamp: Version, role and run, written beside each score.
        key: The key's columns and their types.
        features: The features and their types.
        out: The Parquet file.
        threshold: The score from which a row is `positive`; without one there is no such column.

    Raises:
        FeatureStoreError: A feature has a name that predictions need themselves.
    """
    schema = _schema(key, features)
    if threshold is not None:
        schema = schema.insert(schema.get_field_index("score") + 1, pa.field(POSITIVE, pa.bool_()))
    rows = without = 0
    with pq.ParquetWriter(out, schema) as writer:
        for batch in batches:
            known = give_features(batch)
            without += int(known[list(features)].isna().all(axis=1).sum())
            scored = known.assign(event_time=known[MOMENT], score=model.predict(known), **asdict(stamp))
            if threshold is not None:
                scored[POSITIVE] = scored["score"] >= threshold
            writer.write_table(pa.Table.from_pandas(scored[schema.names], schema, preserve_index=False))
            rows += len(scored)
    return Predicted(rows, without)


def _schema(key: Mapping[str, str], features: Mapping[str, str]) -> pa.Schema:
    if taken := sorted({EVENT_TIME, *_ADDED} & set(features) | {*_ADDED} & set(key)):
        raise FeatureStoreError(
            f"{', '.join(taken)} is a column of the predictions themselves. "
            "Give the feature or the key another name."
        )
    moment_type = pa.timestamp("us", "UTC")
    kinds = {"string": pa.string(), "int64": pa.int64(), "bool": pa.bool_(), "timestamp": moment_type}
    kinds["date"] = pa.date32()
    columns = {name: kinds.get(kind, pa.float64()) for name, kind in key.items()}
    columns[EVENT_TIME] = moment_type
    columns |= {name: pa.string() if kind == "string" else pa.float64() for name, kind in features.items()}
    columns |= {"score": pa.float64(), "version": pa.string(), "role": pa.string(), "run_id": pa.string()}
    return pa.schema(list(columns.items()))
