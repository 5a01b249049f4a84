"""A join of features to rows, run when its result is asked for."""

from collections.abc import Callable, Sequence
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

from keepfit.backends.engine import engine as open_engine
from keepfit.backends.feature_store.asof import AsofView, asof
from keepfit.spec.project import EngineSpec


class AsofRetrievalJob(RetrievalJob):  # type: ignore[misc]  # feast ships no types
    """Feast's handle on the join; it applies on-demand views to the result itself."""

    def __init__(
        self,
        *,
        rows: pd.DataFrame,
        views: Sequence[AsofView],
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
                found = asof(connection, rows, self._moment, view)
                for name in found.column_names:
                    result = result.append_column(name, found[name])
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
    moments = pd.to_datetime(rows[moment], utc=True)
    return pa.Table.from_pandas(rows.assign(**{moment: moments}), preserve_index=False)
