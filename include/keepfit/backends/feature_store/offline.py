"""Feast's offline store over published datasets.

It reads a Delta table as the Parquet files of its newest version, since DuckDB's own reader is an extension
that must be downloaded, and joins as of a moment. Feast's duckdb store joins each row with the whole history
inside the time to live: the same values, many times slower, and not in the order of the rows.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.duckdb import (
    DuckDBOfflineStore,
    DuckDBOfflineStoreConfig,
    _write_data_source,
)
from feast.infra.offline_stores.ibis import (
    get_historical_features_ibis,
    pull_all_from_table_or_query_ibis,
    pull_latest_from_table_or_query_ibis,
)
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from pydantic import StrictStr

from keepfit.backends.feature_store.asof import AsofView
from keepfit.backends.feature_store.files import SourceFiles
from keepfit.backends.feature_store.lake_source import KEY_TAG, has_ties, read_source, source_files
from keepfit.backends.feature_store.latest import Latest, LatestJob, rank_of
from keepfit.backends.feature_store.retrieval import AsofRetrievalJob, JoinedView, rows_of
from keepfit.errors import FeatureStoreError
from keepfit.spec.problem import did_you_mean
from keepfit.spec.project import EngineSpec


class LakeOfflineStoreConfig(DuckDBOfflineStoreConfig):  # type: ignore[misc]  # feast ships no types
    """What `offline_store:` in `feature_store.yaml` may say; keepfit fills in the project's engine bounds."""

    type: StrictStr = "keepfit.backends.feature_store.offline.LakeOfflineStore"
    memory_limit: StrictStr = "2GB"
    threads: int = 2


class LakeOfflineStore(DuckDBOfflineStore):  # type: ignore[misc]
    """Feast's duckdb store with another reader and another join."""

    @staticmethod
    def get_historical_features(  # noqa: PLR0917 - Feast calls it so
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
    ) -> RetrievalJob:
        """Join features to rows as of each row's event timestamp; rows out are rows in, in their order.

        Rows may be given as a query of DuckDB's SQL. What the join does not read (other sources than Parquet
        files and local Delta tables) and transformations in substrait are left to Feast's own, which does not
        keep the order.
        """
        if isinstance(entity_df, str):
            entity_df = rows_of(entity_df, _engine(config))
        on_demand = OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry)
        repo = Path(config.repo_path or ".")
        found = [(view, source_files(view.batch_source, repo)) for view in feature_views]
        joined = [
            joined_view(view, files, feature_refs, full_feature_names, cut=filter_by_created_timestamp)
            for view, files in found
            if files is not None
        ]
        if len(joined) < len(found) or any(view.mode == "substrait" for view in on_demand):
            return get_historical_features_ibis(
                config=config,
                feature_views=feature_views,
                feature_refs=feature_refs,
                entity_df=entity_df,
                registry=registry,
                project=project,
                full_feature_names=full_feature_names,
                filter_by_created_timestamp=filter_by_created_timestamp,
                **_reading(config),
            )
        return AsofRetrievalJob(
            rows=entity_df,
            views=joined,
            on_demand=on_demand,
            feature_refs=feature_refs,
            full_feature_names=full_feature_names,
            engine=_engine(config),
            write=_write_data_source,
            repo=str(config.repo_path),
        )

    @staticmethod
    def pull_latest_from_table_or_query(  # noqa: PLR0917
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Return the newest row of each key between two moments, both included; ties as in the join."""
        found = source_files(data_source, Path(config.repo_path or "."))
        if found is None:
            return pull_latest_from_table_or_query_ibis(
                config=config,
                data_source=data_source,
                join_key_columns=join_key_columns,
                feature_name_columns=feature_name_columns,
                timestamp_field=timestamp_field,
                created_timestamp_column=created_timestamp_column,
                start_date=start_date,
                end_date=end_date,
                **_reading(config),
            )
        latest = Latest(
            keys=join_key_columns,
            features=feature_name_columns,
            timestamp=timestamp_field,
            created=created_timestamp_column or None,
            ranked_by=rank_of(feature_name_columns) if has_ties(data_source, join_key_columns) else (),
            start=start_date,
            end=end_date,
        )
        _refuse_missing("A view", data_source, latest.columns, found.schema.names)
        return LatestJob(latest, found, _engine(config), _write_data_source, str(config.repo_path))

    @staticmethod
    def pull_all_from_table_or_query(  # noqa: PLR0917
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Return all rows between two moments, both included."""
        return pull_all_from_table_or_query_ibis(
            config=config,
            data_source=data_source,
            join_key_columns=join_key_columns,
            feature_name_columns=feature_name_columns,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            start_date=start_date,
            end_date=end_date,
            **_reading(config),
        )


def joined_view(
    view: FeatureView, found: SourceFiles, feature_refs: list[str], full_feature_names: bool, *, cut: bool
) -> JoinedView:
    """Say of a feature view how it is joined: which columns, by which keys, until when they are good."""
    source = view.batch_source
    columns = {feature: column for column, feature in source.field_mapping.items()}
    prefix = f"{view.projection.name_alias or view.name}__" if full_feature_names else ""
    keys = view.projection.join_key_map or {field.name: field.name for field in view.entity_columns}
    ours = {columns.get(key, key): theirs for key, theirs in keys.items()}
    features = [columns.get(field.name, field.name) for field in view.features]
    called = {name: f"{prefix}{name}" for name in _asked_of(view, feature_refs)}
    join = AsofView(
        files=found.files,
        schema=found.schema,
        timestamp=source.timestamp_field,
        created=source.created_timestamp_column or None,
        ranked_by=rank_of(features) if has_ties(source, ours) else (),
        keys=ours,
        values={columns.get(name, name): new for name, new in called.items()},
        ttl=view.ttl or None,
        cut_by_created=cut,
    )
    needed = (*join.keys, join.timestamp, join.created, *join.values)
    _refuse_missing(f"The view {view.name!r}", source, needed, found.schema.names)
    declared = {called[field.name]: field.dtype for field in view.features if field.name in called}
    return JoinedView(join, declared, found.system)


def _refuse_missing(
    view: str, source: DataSource, needed: Iterable[str | None], there: Sequence[str]
) -> None:
    for column in filter(None, needed):
        if column in there:
            continue
        needs = f"{view} needs the column {column!r}, which"
        lacks = (
            f"does not have.{did_you_mean(column, there)} It has: {', '.join(there)}. Correct the view, or"
        )
        if KEY_TAG in (source.tags or {}):
            raise FeatureStoreError(
                f"features.py: {needs} the published dataset {source.name!r} {lacks} ingest the dataset "
                "again with this column."
            )
        raise FeatureStoreError(f"{needs} its source {source.name!r} {lacks} the files of the source.")


def _asked_of(view: FeatureView, feature_refs: list[str]) -> list[str]:
    start = f"{view.projection.name_to_use()}:"
    return [ref.removeprefix(start) for ref in feature_refs if ref.startswith(start)]


def _engine(config: RepoConfig) -> EngineSpec:
    return EngineSpec(memory_limit=config.offline_store.memory_limit, threads=config.offline_store.threads)


def _reading(config: RepoConfig) -> dict[str, Any]:
    return {
        "data_source_reader": read_source,
        "data_source_writer": _write_data_source,
        "staging_location": config.offline_store.staging_location,
        "staging_location_endpoint_override": config.offline_store.staging_location_endpoint_override,
    }
