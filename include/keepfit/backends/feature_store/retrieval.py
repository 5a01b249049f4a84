"""A join of features to rows, run when its result is asked for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage
from feast.types import FeastType

from keepfit.backends.engine import EngineError, first_line, reading
from keepfit.backends.engine import engine as open_engine
from keepfit.backends.feature_store.asof import AsofView, asof
from keepfit.backends.feature_store.declared import as_declared
from keepfit.errors import FeatureStoreError
from keepfit.spec.project import EngineSpec


@dataclass(frozen=True)
class JoinedView:
    """A view's part of a join."""

    join: AsofView
    declared: Mapping[str, FeastType]
    """The features' types, by what they are called in the result."""
    system: Any = None
    """Where the files are, if not on this machine."""


class AsofRetrievalJob(RetrievalJob):  # type: ignore[misc]  # feast ships no types
    """Feast's handle on the join; it applies on-demand views to the result itself."""

    def __init__(
        self,
        *,
        rows: pd.DataFrame,
        views: Sequence[JoinedView],
        on_demand: list[OnDemandFeatureView],
        feature_refs: list[str],
        full_feature_names: bool,
        engine: EngineSpec,
        write: Callable[..., None],
        repo: str,
    ) -> None:
        """Note what to join; nothing is read yet."""
        super().__init__()
        self._rows = rows
        self._moment = infer_event_timestamp_from_entity_df(dict(rows.dtypes))
        self._views = views
        self._on_demand = on_demand
        self._feature_refs = feature_refs
        self._full_feature_names = full_feature_names
        self._engine = engine
        self._write = write
        self._repo = repo

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - Feast calls it so
        rows = _with_utc_moments(self._rows, self._moment)
        result = rows
        with TemporaryDirectory() as scratch, open_engine(self._engine, Path(scratch)) as connection:
            for view in self._views:
                with reading(connection, view.system):
                    found = asof(connection, rows, self._moment, view.join)
                for name in found.column_names:
                    typed = as_declared(found[name], view.declared[name], name)
                    result = result.append_column(name, typed)
        return result

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
        """Whether features are called `view__feature`."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """The views computed from the joined values and the rows' own columns."""
        return self._on_demand

    @property
    def metadata(self) -> RetrievalMetadata:
        """What was asked for."""
        moments: Any = pd.to_datetime(self._rows[self._moment], utc=True)
        keys = [column for column in self._rows.columns if column != self._moment]
        return RetrievalMetadata(self._feature_refs, keys, moments.min(), moments.max())


def _with_utc_moments(rows: pd.DataFrame, moment: str) -> pa.Table:
    """Return the rows as Arrow; moments without a zone, or written as text, are UTC."""
    if str(getattr(rows[moment].dtype, "tz", None)) != "UTC":
        rows = rows.assign(**{moment: pd.to_datetime(rows[moment], utc=True)})
    return pa.Table.from_pandas(rows, preserve_index=False)


def rows_of(query: str, engine: EngineSpec) -> pd.DataFrame:
    """Run a query of DuckDB's SQL that names the rows, for instance from `read_parquet('rows.parquet')`.

    Raises:
        FeatureStoreError: It is no query that DuckDB can run.
    """
    with TemporaryDirectory() as scratch, open_engine(engine, Path(scratch)) as connection:
        try:
            frame: pd.DataFrame = connection.execute(query).df()
        except EngineError as error:
            raise FeatureStoreError(
                f"The query for the rows fails: {first_line(error)}. It is run by DuckDB; write files as "
                "read_parquet('...')."
            ) from error
    return frame
