"""Which feature view each column of each model comes from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from keepfit.pipeline.snapshot import Given, Snapshot
from keepfit.policy import Columns, Origin

if TYPE_CHECKING:
    from keepfit.backends.feature_store import FeatureOrigin


def columns_of_models(snapshot: Snapshot) -> dict[str, Columns]:
    """Say of all models where their columns come from; a model whose service is not registered has none."""
    from keepfit.backends.feature_store import FeatureStore

    services = FeatureStore(snapshot, snapshot.project.engine).origins()
    own = snapshot.the_model
    given = {**snapshot.models, own.name: Given(own.features, own.entities.dataset)}
    return {name: _columns(services.get(each.service, {}), each.dataset) for name, each in given.items()}


def _columns(features: "Mapping[str, FeatureOrigin]", dataset: str) -> Columns:
    return {
        name: Origin(each.view, each.computed_from or (), dataset if each.computed_from == () else None)
        for name, each in features.items()
    }
