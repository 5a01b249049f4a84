"""Features that lie in the very row they are asked for: the join as of its moment finds that row itself."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from feast import FeatureStore as Feast
from feast.feature_view import FeatureView
from feast.feature_view_projection import FeatureViewProjection
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.types import FeastType

from keepfit.backends.feature_store.declared import as_declared
from keepfit.backends.feature_store.description import find_service
from keepfit.backends.feature_store.lake_source import has_ties, table_of
from keepfit.spec import DatasetSpec


@dataclass(frozen=True)
class OwnFeature:
    """A feature that is a column of the row."""

    name: str
    column: str
    declared: FeastType


@dataclass(frozen=True)
class OwnRow:
    """The features of a service, all of them columns of the rows of one dataset."""

    keys: tuple[str, ...]
    """A row without one of these has no features."""
    features: tuple[OwnFeature, ...]

    @property
    def columns(self) -> dict[str, str]:
        """The features' columns by name."""
        return {each.name: each.column for each in self.features}

    def typed(self, rows: pa.RecordBatch) -> pa.Table:
        """Return rows with the features in their declared types."""
        table = pa.Table.from_batches([rows])
        for each in self.features:
            at = table.schema.get_field_index(each.name)
            table = table.set_column(at, each.name, as_declared(table[each.name], each.declared, each.name))
        return table


def own_row(feast: Feast, service: str, dataset: DatasetSpec, given: Sequence[str]) -> OwnRow | None:
    """Return a service's features if every view reads the dataset and is keyed by what names its rows.

    Then the newest values known at a row's event time are its own, whatever the time to live.

    Args:
        feast: The store.
        service: A registered feature service.
        dataset: What the rows are of; each is asked about at its own event time.
        given: The columns of the dataset that the rows bring.
    """
    keys: dict[str, None] = {}
    features: list[OwnFeature] = []
    for projection in find_service(feast, service).feature_view_projections:
        view = feast.registry.get_any_feature_view(projection.name, feast.project, allow_cache=True)
        if isinstance(view, OnDemandFeatureView) or not _is_own(view, projection, dataset, given):
            return None
        keys |= dict.fromkeys(_keys(view, projection))
        features += _features(view, projection)
    names = [each.name for each in features]
    if len({*names}) < len(names) or {*names} & {*given, dataset.event_time}:
        return None
    return OwnRow(tuple(keys), tuple(features))


def _is_own(
    view: FeatureView, projection: FeatureViewProjection, dataset: DatasetSpec, given: Sequence[str]
) -> bool:
    source, table = view.batch_source, table_of(view.batch_source)
    keys = _keys(view, projection)
    return (
        table is not None
        and table.name == dataset.name
        and source.timestamp_field == dataset.event_time
        and not source.created_timestamp_column
        and all(ours == theirs for ours, theirs in keys.items())
        and {*keys} <= {*given}
        and not has_ties(source, keys)
    )


def _keys(view: FeatureView, projection: FeatureViewProjection) -> Mapping[str, str]:
    """Return the table's key columns and the columns of the asking rows that they must equal."""
    columns = {feature: column for column, feature in view.batch_source.field_mapping.items()}
    named = projection.join_key_map or {field.name: field.name for field in view.entity_columns}
    return {columns.get(key, key): theirs for key, theirs in named.items()}


def _features(view: FeatureView, projection: FeatureViewProjection) -> Iterator[OwnFeature]:
    columns = {feature: column for column, feature in view.batch_source.field_mapping.items()}
    for field in projection.features:
        yield OwnFeature(field.name, columns.get(field.name, field.name), field.dtype)
