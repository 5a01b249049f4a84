"""The moment a training is about, where its trigger names none."""

from collections.abc import Mapping
from typing import Any

from keepfit.errors import NotReadyError
from keepfit.ledger import Ledger
from keepfit.spec import Project


def with_as_of(settings: Mapping[str, Any], project: Project, model: str | None) -> dict[str, Any]:
    """Return a run's settings; a training without `as_of` gets the end of its published rows.

    Raises:
        NotReadyError: Nothing is published to train on.
    """
    if model is None or "as_of" not in settings or settings["as_of"]:
        return dict(settings)
    dataset = project.model(model).entities.dataset
    end = Ledger(project.locations.ledger_url).published_until(dataset)
    if end is None:
        raise NotReadyError(
            f"{model} cannot be trained: nothing of {dataset} is published. Run {dataset}__ingest first."
        )
    return {**settings, "as_of": end.isoformat()}
