"""Which view each feature of each service comes from, of all services at once."""

from collections.abc import Mapping
from dataclasses import dataclass

from feast import FeatureStore as Feast


@dataclass(frozen=True)
class FeatureOrigin:
    """Where a feature of a service comes from."""

    view: str
    computed_from: tuple[str, ...] | None
    """The feature views that an on-demand view reads, if any; None for a feature of a feature view itself."""


def feature_origins(feast: Feast) -> dict[str, Mapping[str, FeatureOrigin]]:
    """Read them by service and feature, in two looks at the registry."""
    registry, project = feast.registry, feast.project
    computed = {
        view.name: tuple(source.name for source in view.source_feature_view_projections.values())
        for view in registry.list_on_demand_feature_views(project, allow_cache=True)
    }
    return {
        service.name: {
            feature.name: FeatureOrigin(projection.name, computed.get(projection.name))
            for projection in service.feature_view_projections
            for feature in projection.features
        }
        for service in registry.list_feature_services(project, allow_cache=True)
    }
