"""Which features a live model is given: an edit of `features:` waits to be applied, like one of the features.

All else in a model's file counts from its next run. This would take from the live version what it was trained
on, between one prediction and the next.
"""

import logging

from keepfit.errors import RegistryError
from keepfit.ledger import FeatureLedger, Ledger
from keepfit.spec import ModelSpec, Project

_log = logging.getLogger(__name__)


def as_applied(project: Project, model: str) -> ModelSpec:
    """Return a model as its runs see it, with the feature service it is given until another is applied."""
    spec = project.model(model)
    used = features_in_use(project, model)
    if used in (None, spec.features):
        return spec
    _log.warning(
        "models/%s.yaml: features: %r waits to be applied, and %r is used: see `keepfit plan`, "
        "then `keepfit apply`.",
        model,
        spec.features,
        used,
    )
    return spec.model_copy(update={"features": used})


def features_in_use(project: Project, model: str) -> str | None:
    """Name the feature service that was applied for a model, or else trained with; None if none is live."""
    url = project.locations.ledger_url
    live, last = Ledger(url).live(model), FeatureLedger(url).last_edit()
    if live is None or live.to_version is None:
        return None
    if last and (recorded := last.contents.get(f"model {model}")):
        return str(recorded["properties"]["features"])
    return _trained_with(project, model, live.to_version)


def _trained_with(project: Project, model: str, version: str) -> str | None:
    from keepfit.backends.model_registry import ModelRegistry

    registry = ModelRegistry(project.locations.tracking_uri, project.locations.artifacts)
    try:
        return registry.details(model, version).tags.get("keepfit.feature_service")
    except RegistryError:
        return None
