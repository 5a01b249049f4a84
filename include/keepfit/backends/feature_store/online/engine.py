"""Feast's local engine, with values encoded by columns on their way into a guarded store."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from feast import FeatureView
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.local.compute import LocalComputeEngine, LocalComputeEngineConfig
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.offline_stores.offline_store import RetrievalJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.utils import _get_column_names
from pydantic import StrictStr

from keepfit.backends.feature_store.online.guarded import GuardedOnlineStore
from keepfit.backends.feature_store.online.keys import KEY_TYPES, VERSION
from keepfit.backends.feature_store.online.rows import rows_of_table

ROWS_A_BATCH = 10_000


class ColumnComputeEngineConfig(LocalComputeEngineConfig):  # type: ignore[misc]  # feast ships no types
    """What `batch_engine:` may say."""

    type: StrictStr = "keepfit.backends.feature_store.online.engine.ColumnComputeEngine"


class ColumnComputeEngine(LocalComputeEngine):  # type: ignore[misc]
    """Brings plain feature views into a guarded store by columns; all others as Feast's own engine does.

    Plain are views that only read a source: no transformation, aggregation or Feast validation.
    """

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any
    ) -> LocalMaterializationJob:
        if not self._is_plain(task):
            return super()._materialize_one(registry, task, **kwargs)
        view = task.feature_view
        for batch in _batches(self._newest(registry, task), self._rows_a_batch, self.online_store.by_key):
            renamed = [view.batch_source.field_mapping.get(name, name) for name in batch.schema.names]
            rows = rows_of_table(view, batch.rename_columns(renamed))
            if len(rows):
                self.online_store.write(self.repo_config, view, rows)
        job_id = f"{view.name}-{task.start_time}-{task.end_time}"
        return LocalMaterializationJob(job_id=job_id, status=MaterializationJobStatus.SUCCEEDED)

    def _is_plain(self, task: MaterializationTask) -> bool:
        view = task.feature_view
        return (
            isinstance(self.online_store, GuardedOnlineStore)
            and self.repo_config.entity_key_serialization_version == VERSION
            and type(view) is FeatureView
            and not (view.source_views or view.enable_validation or task.disable_event_timestamp)
            and view.online
            and DUMMY_ENTITY_NAME not in view.entities
            and all(field.dtype in KEY_TYPES for field in view.entity_columns)
        )

    def _newest(self, registry: BaseRegistry, task: MaterializationTask) -> RetrievalJob:
        view = task.feature_view
        entities = [registry.get_entity(name, task.project) for name in view.entities]
        keys, features, timestamp, created = _get_column_names(view, entities)
        return self.offline_store.pull_latest_from_table_or_query(
            config=self.repo_config,
            data_source=view.batch_source,
            join_key_columns=keys,
            feature_name_columns=features,
            timestamp_field=timestamp,
            created_timestamp_column=created,
            start_date=task.start_time,
            end_date=task.end_time,
        )

    @property
    def _rows_a_batch(self) -> int:
        return self.repo_config.materialization_config.online_write_batch_size or ROWS_A_BATCH


def _batches(job: RetrievalJob, rows: int, by_key: bool) -> Iterator[pa.RecordBatch]:
    """Return a job's result in parts, without holding all of it where the job can do so."""
    if hasattr(job, "batches"):
        yield from job.batches(rows, by_key=by_key)
    else:
        yield from job.to_arrow().to_batches(max_chunksize=rows)
