"""Score the rows of a window, batch by batch, each version into a Parquet file of its own."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from keepfit.backends.prediction_columns import EVENT_TIME, POSITIVE, prediction_schema
from keepfit.plugins import Model

MOMENT = "event_timestamp"
_RUN_ID = "run_id"
_PART = 12_500
Scores: TypeAlias = NDArray[np.float64]
Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Stamp:
    """What each prediction says of the model that made it."""

    version: str
    role: str
    run_id: str


@dataclass(frozen=True)
class Scorer:
    """A version that scores the rows, and the file its predictions go to."""

    model: Model
    stamp: Stamp
    out: Path


@dataclass(frozen=True)
class Predicted:
    """How many rows were scored."""

    rows: int
    without_features: int
    """Rows whose features were all missing: the model knew nothing of them."""


def predict(
    batches: Iterable[Batch],
    give_features: Callable[[Batch], pd.DataFrame],
    scorers: Sequence[Scorer],
    *,
    key: Mapping[str, str],
    features: Mapping[str, str],
    threads: int = 1,
    threshold: float | None = None,
) -> Predicted:
    """Score batch after batch; no more than two are in memory.

    Args:
        batches: Rows with key and `event_timestamp`.
        give_features: Gives a batch its features as known at `event_timestamp`: all rows, in their order.
        scorers: Which versions score them; the features are looked up once for all.
        key: The key's columns and their types.
        features: The features and their types.
        threads: How many parts of a batch are scored at once.
        threshold: The score from which a row is `positive`; without one there is no such column.

    Raises:
        FeatureStoreError: A feature has a name that predictions need themselves.
    """
    schema = prediction_schema(key, features, {_RUN_ID: pa.string()})
    if threshold is not None:
        schema = schema.insert(schema.get_field_index("score") + 1, pa.field(POSITIVE, pa.bool_()))
    given = pa.schema([field for field in schema if field.name in {*key, EVENT_TIME, *features}])
    rows = without = 0
    with ExitStack() as opened:
        pool = opened.enter_context(ThreadPoolExecutor(threads))
        files = [opened.enter_context(_file(each.out, schema)) for each in scorers]
        # While a batch is scored, the next one is given its features.
        scored: list[tuple[pq.ParquetWriter, Callable[[], pa.Table]]] = []
        for batch in batches:
            known = give_features(batch)
            begun = [_begin(known, each, pool) for each in scorers]
            columns = pa.Table.from_pandas(
                known.assign(**{EVENT_TIME: known[MOMENT]})[given.names], given, preserve_index=False
            )
            rows += len(known)
            without += _without(known, columns.select(list(features)))
            _write(scored)
            scored = [
                (file, partial(_finish, columns, each.stamp, parts, schema, threshold))
                for file, each, parts in zip(files, scorers, begun, strict=True)
            ]
        _write(scored)
    return Predicted(rows, without)


def _file(out: Path, schema: pa.Schema) -> pq.ParquetWriter:
    # The file lives until it is published, so it is made fast rather than small.
    texts = [each.name for each in schema if pa.types.is_string(each.type)]
    return pq.ParquetWriter(out, schema, use_dictionary=texts, compression="none")


def _without(known: pd.DataFrame, features: pa.Table) -> int:
    """Count the rows that have no feature at all."""
    if any(column.null_count == 0 for column in features.itercolumns()):
        return 0
    return int(known[features.column_names].isna().all(axis=1).sum())


def _begin(known: pd.DataFrame, scorer: Scorer, pool: Executor) -> list[Future[Scores]]:
    """Score a batch in parts of a size that does not depend on the threads, nor do then the scores."""
    starts = range(0, len(known), _PART) or (0,)
    return [pool.submit(scorer.model.predict, known.iloc[start : start + _PART]) for start in starts]


def _write(scored: list[tuple[pq.ParquetWriter, Callable[[], pa.Table]]]) -> None:
    for file, finish in scored:
        file.write_table(finish())


def _finish(
    columns: pa.Table, stamp: Stamp, parts: list[Future[Scores]], schema: pa.Schema, threshold: float | None
) -> pa.Table:
    score = np.concatenate([part.result() for part in parts])
    added = {
        "score": pa.array(score, pa.float64(), from_pandas=True),
        "version": pa.repeat(stamp.version, len(score)),
        "role": pa.repeat(stamp.role, len(score)),
        _RUN_ID: pa.repeat(stamp.run_id, len(score)),
    }
    if threshold is not None:
        added[POSITIVE] = pa.array(score >= threshold)
    return pa.table([added[name] if name in added else columns[name] for name in schema.names], schema=schema)
