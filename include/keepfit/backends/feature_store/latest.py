"""Which of several rows of one key counts, so that offline and online agree on it, and the job that reads it.

Of rows of the same key and moment (and creation), the one with the greatest values counts: the view's
features are compared in the order of their columns' names, nulls are least. The choice is arbitrary, but it
is the same for every join, whatever features it asks for, and for the online store.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

from keepfit.backends.engine import engine as open_engine
from keepfit.backends.engine import identifier, identifiers, moment, reading, scan
from keepfit.backends.feature_store.files import SourceFiles
from keepfit.spec.project import EngineSpec

ROWS_A_BATCH = 100_000


def rank_of(features: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that tell tied rows apart, in the order they are compared."""
    return tuple(sorted(features))


@dataclass(frozen=True)
class Latest:
    """What to read: one row for each key, the first by some columns in descending order."""

    keys: Sequence[str]
    features: Sequence[str]
    timestamp: str
    created: str | None
    ranked_by: Sequence[str]
    start: datetime
    end: datetime
    """Both ends are included."""

    @property
    def columns(self) -> list[str]:
        """Name what is read."""
        return list(dict.fromkeys([*self.keys, *self.features, *self.order[: 1 + bool(self.created)]]))

    @property
    def order(self) -> list[str]:
        """Name what decides which row counts."""
        return [self.timestamp, *filter(None, [self.created]), *self.ranked_by]


class LatestJob(RetrievalJob):  # type: ignore[misc]  # feast ships no types
    """Feast's handle on the newest rows; they can be read in batches, whose memory is bounded."""

    def __init__(
        self,
        latest: Latest,
        found: SourceFiles,
        engine: EngineSpec,
        write: Callable[..., None],
        repo: str,
    ) -> None:
        """Note what to read; nothing is read yet."""
        super().__init__()
        self._latest = latest
        self._found = found
        self._engine = engine
        self._write = write
        self._repo = repo

    def batches(self, rows: int, *, by_key: bool = False) -> Iterator[pa.RecordBatch]:
        """Read so many rows at a time, in the order of their keys if that is wanted."""
        if not self._found.files:
            return
        with (
            TemporaryDirectory() as scratch,
            open_engine(self._engine, Path(scratch)) as connection,
            reading(connection, self._found.system),
        ):
            yield from connection.execute(self._query(by_key)).to_arrow_reader(rows)

    def _query(self, by_key: bool) -> str:
        latest, schema = self._latest, self._found.schema
        at = f"CAST({identifier(latest.timestamp)} AS TIMESTAMPTZ)"
        # DuckDB gives back what it has sorted by, with -0.0 made 0.0, so it sorts by a copy.
        order = ", ".join(
            f"{identifier(name)}{' + 0' * pa.types.is_floating(schema.field(name).type)} DESC NULLS LAST"
            for name in latest.order
        )
        first = f"row_number() OVER (PARTITION BY {identifiers(latest.keys)} ORDER BY {order}) = 1"
        return f"""
            SELECT {identifiers(latest.columns)} FROM {scan(self._found.files)}
            WHERE {at} >= {moment(latest.start)} AND {at} <= {moment(latest.end)} QUALIFY {first}
            {f"ORDER BY {identifiers(sorted(latest.keys))}" if by_key else ""}
        """

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - Feast calls it so
        batches = list(self.batches(ROWS_A_BATCH))
        empty = pa.schema([self._found.schema.field(name) for name in self._latest.columns])
        return pa.Table.from_batches(batches) if batches else empty.empty_table()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None
    ) -> None:
        """Store the result as a saved dataset."""
        table = ibis.memtable(self._to_arrow_internal(timeout))
        self._write(table, storage.to_data_source(), self._repo, "overwrite", allow_overwrite)

    @property
    def full_feature_names(self) -> bool:
        """Features are called by their own names."""
        return False

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """None are computed."""
        return []

    @property
    def metadata(self) -> Any:
        """None is kept."""
        return None
