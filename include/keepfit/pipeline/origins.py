"""Which feature view each column of each model comes from."""

from typing import TYPE_CHECKING

from keepfit.errors import FeatureStoreError
from keepfit.pipeline.snapshot import Snapshot
from keepfit.policy import Columns, Origin

if TYPE_CHECKING:
    from keepfit.backends.feature_store import FeatureStore, ServiceDescription


def columns_of_models(snapshot: Snapshot) -> dict[str, Columns]:
    """Say of all models where their columns come from; a model whose features are broken has none."""
    from keepfit.backends.feature_store import FeatureStore

    store, own = FeatureStore(snapshot, snapshot.project.engine), snapshot.the_model
    given = {name: (each.service, each.dataset) for name, each in snapshot.models.items()}
    given[own.name] = (own.features, own.entities.dataset)
    known = {service: _described(store, service) for service in {service for service, _ in given.values()}}
    return {name: _columns(known[service], dataset) for name, (service, dataset) in given.items()}


def _described(store: "FeatureStore", service: str) -> "ServiceDescription | None":
    try:
        return store.service(service)
    except FeatureStoreError:
        return None  # Its own runs say so; nothing of it can be held by a view.


def _columns(service: "ServiceDescription | None", dataset: str) -> Columns:
    if service is None:
        return {}
    found = {}
    for each in service.features:
        views = service.computed_from.get(each.view)
        found[each.name] = Origin(each.view, views or (), dataset if views == () else None)
    return found
