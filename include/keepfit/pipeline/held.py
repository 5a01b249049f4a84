"""Which features a live model is given: an edit of `features:` waits to be applied, like one of the features.

All else in a model's file counts from its next run. This would take from the live version what it was trained
on, between one prediction and the next.
"""

import logging

from keepfit.pipeline.folder import RunFolder
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
    """Name the feature service that was applied for a model, or else trained with.

    None if no version is live, or nothing is left of its training's run.
    """
    from keepfit.ledger import FeatureLedger, Ledger

    url = project.locations.ledger_url
    live, last = Ledger(url).live(model), FeatureLedger(url).last_edit()
    if live is None or live.to_version is None:
        return None
    if last and (recorded := last.contents.get(f"model {model}")):
        return str(recorded["properties"]["features"])
    trained = (each.run_id for each in Ledger(url).trainings(model) if each.version == live.to_version)
    folders = (RunFolder.of(project.locations.runs, f"{model}__train", run_id) for run_id in trained)
    return next(
        (str(each.read("snapshot")["model"]["features"]) for each in folders if each.has("snapshot")), None
    )
