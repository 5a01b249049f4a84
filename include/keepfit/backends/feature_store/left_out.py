"""What waits until it can be registered: all that reads a dataset whose file has a problem."""

from collections.abc import Mapping, Sequence
from typing import Any

from feast import FeatureService, FeatureView
from feast.data_source import DataSource
from feast.on_demand_feature_view import OnDemandFeatureView

LEFT_OUT = "keepfit.left_out"
"""The tag with which `published()` says of a source what is wrong with its dataset."""


def left_out(source: DataSource | None) -> str | None:
    """Say what is wrong with the dataset of a source, if anything is."""
    tags: Mapping[str, str] = getattr(source, "tags", None) or {}
    return tags.get(LEFT_OUT)


def waiting(objects: Sequence[Any]) -> dict[str, str]:
    """Return the views and services that read a dataset with a problem, by name, each with its problem.

    Views and services share no name where Feast accepts them.
    """
    found = {
        view.name: reason
        for view in objects
        if isinstance(view, FeatureView) and (reason := left_out(view.batch_source))
    }
    for kind in (OnDemandFeatureView, FeatureService):
        for thing in objects:
            if isinstance(thing, kind) and (
                reasons := [found[name] for name in _reads(thing) if name in found]
            ):
                found[thing.name] = reasons[0]
    return found


def ready(objects: Sequence[Any]) -> list[Any]:
    """Return what can be registered now; what waits stays registered as it was, if it was."""
    waits = waiting(objects)
    return [thing for thing in objects if thing.name not in waits and not left_out(_source(thing))]


def _reads(thing: OnDemandFeatureView | FeatureService) -> list[str]:
    if isinstance(thing, FeatureService):
        return [projection.name for projection in thing.feature_view_projections]
    return [projection.name for projection in thing.source_feature_view_projections.values()]


def _source(thing: Any) -> DataSource | None:
    return thing if isinstance(thing, DataSource) else None
