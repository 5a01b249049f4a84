"""What a feature service offers and asks for, read from the registry."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from feast import FeatureService
from feast import FeatureStore as Feast
from feast.errors import FeatureServiceNotFoundException
from feast.feature_view import DUMMY_ENTITY_ID
from feast.feature_view_projection import FeatureViewProjection
from feast.on_demand_feature_view import OnDemandFeatureView

from keepfit.backends.feature_store.collect import collect
from keepfit.backends.feature_store.lake_source import table_of
from keepfit.backends.feature_store.left_out import waiting
from keepfit.errors import FeatureStoreError
from keepfit.spec.problem import did_you_mean

DType = Literal["float64", "int64", "string", "bool", "timestamp"]

_DTYPES: dict[str, DType] = {
    "Float32": "float64",
    "Float64": "float64",
    "Int32": "int64",
    "Int64": "int64",
    "String": "string",
    "Bool": "bool",
    "UnixTimestamp": "timestamp",
}


@dataclass(frozen=True)
class FeatureField:
    """One feature of a service."""

    name: str
    dtype: DType
    view: str


@dataclass(frozen=True)
class ReadColumn:
    """A published column that a service reads, be it for a feature or for an on-demand view."""

    view: str
    feature: str
    dataset: str
    column: str


@dataclass(frozen=True)
class ServiceDescription:
    """What a feature service offers, and what a row must bring to be given it."""

    name: str
    features: tuple[FeatureField, ...]
    join_keys: tuple[str, ...]
    request_columns: tuple[str, ...]
    """Inputs of on-demand views that no feature view holds."""
    datasets: tuple[str, ...]
    """The published datasets its views read."""
    reads: tuple[ReadColumn, ...]
    """What it reads of them, by the columns' own names."""
    views: tuple[str, ...] = ()
    """The feature views it takes values of."""
    computed_from: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """The feature views that each of its on-demand views reads; none where the rows bring it all."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name the features, in the service's order."""
        return tuple(field.name for field in self.features)

    @property
    def categorical(self) -> tuple[str, ...]:
        """Name the features that are text."""
        return tuple(field.name for field in self.features if field.dtype == "string")

    @property
    def needed_columns(self) -> tuple[str, ...]:
        """Name the columns a row must bring."""
        return (*self.join_keys, *self.request_columns)


def find_service(feast: Feast, name: str) -> FeatureService:
    """Return a registered feature service.

    Raises:
        FeatureStoreError: None has this name.
    """
    try:
        return feast.get_feature_service(name, allow_cache=True)
    except FeatureServiceNotFoundException:
        if reason := waiting(collect(feast.config.repo_path)).get(name):
            raise FeatureStoreError(
                f"The feature service {name!r} reads a dataset that is left out: {reason.splitlines()[0]}"
            ) from None
        known = sorted(service.name for service in feast.list_feature_services())
        raise FeatureStoreError(
            f"No feature service is named {name!r}.{did_you_mean(name, known)} There are: "
            f"{', '.join(known) or 'none'}. Define one in feature_repo/, or correct the model's `features`."
        ) from None


def describe(feast: Feast, name: str) -> ServiceDescription:
    """Describe a registered feature service."""
    service = find_service(feast, name)
    joined: dict[str, FeatureViewProjection] = {}
    whole: list[FeatureViewProjection] = []
    requested: dict[str, None] = {}
    computed: dict[str, tuple[str, ...]] = {}
    for projection in service.feature_view_projections:
        view = feast.registry.get_any_feature_view(projection.name, feast.project, allow_cache=True)
        if isinstance(view, OnDemandFeatureView):
            sources = view.source_feature_view_projections.values()
            joined |= {source.name: source for source in sources}
            whole += sources
            computed[projection.name] = tuple(source.name for source in sources)
            requested |= dict.fromkeys(view.get_request_data_schema())
        else:
            joined[projection.name_to_use()] = projection
            whole.append(projection)
    keys = dict.fromkeys(key for projection in joined.values() for key in _join_keys(feast, projection))
    reads = dict.fromkeys(each for projection in whole for each in _reads(feast, projection))
    tables = dict.fromkeys(_table(feast, projection) for projection in joined.values())
    return ServiceDescription(
        name=name,
        features=tuple(_fields(service)),
        join_keys=tuple(keys),
        request_columns=tuple(requested),
        datasets=tuple(table for table in tables if table is not None),
        reads=tuple(reads),
        views=tuple(dict.fromkeys(projection.name for projection in joined.values())),
        computed_from=computed,
    )


def _fields(service: FeatureService) -> Iterator[FeatureField]:
    for projection in service.feature_view_projections:
        for field in projection.features:
            dtype = _DTYPES.get(str(field.dtype))
            if dtype is None:
                raise FeatureStoreError(
                    f"The feature {field.name!r} of the view {projection.name!r} is of type {field.dtype}, "
                    f"which no model here can use. Use one of {', '.join(_DTYPES)}."
                )
            yield FeatureField(field.name, dtype, projection.name)


def _reads(feast: Feast, projection: FeatureViewProjection) -> Iterator[ReadColumn]:
    source = feast.get_feature_view(projection.name).batch_source
    if (table := table_of(source)) is None:
        return
    columns = {feature: column for column, feature in source.field_mapping.items()}
    for field in projection.features:
        yield ReadColumn(projection.name, field.name, table.name, columns.get(field.name, field.name))


def _join_keys(feast: Feast, projection: FeatureViewProjection) -> Iterator[str]:
    view = feast.get_feature_view(projection.name)
    for field in view.entity_columns:
        if field.name != DUMMY_ENTITY_ID:
            yield projection.join_key_map.get(field.name, field.name)


def _table(feast: Feast, projection: FeatureViewProjection) -> str | None:
    table = table_of(feast.get_feature_view(projection.name).batch_source)
    return table.name if table else None
