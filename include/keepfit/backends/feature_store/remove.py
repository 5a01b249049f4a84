"""Takes objects out of Feast's registry, and afterwards their values off the online store."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from feast import Entity, FeatureService, FeatureView, LabelView, Project, StreamFeatureView
from feast import FeatureStore as Feast
from feast.data_source import DataSource
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.protos.feast.core.FeatureView_pb2 import FeatureView as FeatureViewProto
from feast.protos.feast.core.LabelView_pb2 import LabelView as LabelViewProto
from feast.protos.feast.core.StreamFeatureView_pb2 import StreamFeatureView as StreamFeatureViewProto

REMOVING = "keepfit.removing"
"""The project's tag that holds the views whose online values are still to be taken off."""
_STORED: Mapping[str, tuple[Any, Any]] = {
    "FeatureView": (FeatureView, FeatureViewProto),
    "StreamFeatureView": (StreamFeatureView, StreamFeatureViewProto),
    "LabelView": (LabelView, LabelViewProto),
}


def remove(feast: Feast, things: Sequence[Any], tags: Mapping[str, str]) -> str:
    """Take objects out of the registry; return a note of what is then to be taken off the online store.

    Args:
        feast: The store.
        things: The objects.
        tags: The project's, which may hold the note of a removal that was cut short.
    """
    registry, project = feast.registry, feast.project
    for thing in things:
        if isinstance(thing, Entity):
            registry.delete_entity(thing.name, project)
        elif isinstance(thing, DataSource):
            registry.delete_data_source(thing.name, project)
        elif isinstance(thing, FeatureService):
            registry.delete_feature_service(thing.name, project)
        else:
            registry.delete_feature_view(thing.name, project)
    views = [each for each in things if type(each).__name__ in _STORED]
    noted = [(type(each).__name__, b64encode(each.to_proto().SerializeToString()).decode()) for each in views]
    return json.dumps([*_noted(tags), *noted])


def take_off(feast: Feast) -> None:
    """Take off the online store what the registry notes, unless it has come back; then strike the note."""
    project = feast.registry.get_project(feast.project, allow_cache=False)
    if not (noted := _noted(project.tags)):
        return
    kept = [
        view
        for view in feast.registry.list_all_feature_views(feast.project, allow_cache=False)
        if not isinstance(view, OnDemandFeatureView) or view.write_to_online_store
    ]
    back = {view.name for view in kept}
    gone = [_read(kind, text) for kind, text in noted]
    feast._get_provider().update_infra(
        project=feast.project,
        tables_to_delete=[view for view in gone if view.name not in back],
        # Redis keeps an entity's views together: those that stay must be named.
        tables_to_keep=kept,
        entities_to_delete=[],
        entities_to_keep=[],
        partial=False,
    )
    tags = {name: value for name, value in project.tags.items() if name != REMOVING}
    feast.registry.apply_project(Project(name=feast.project, tags=tags), commit=True)


def _noted(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(kind, text) for kind, text in json.loads(tags.get(REMOVING, "[]"))]


def _read(kind: str, text: str) -> Any:
    cls, proto = _STORED[kind]
    return cls.from_proto(proto.FromString(b64decode(text)))
