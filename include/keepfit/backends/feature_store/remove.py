"""Takes objects out of Feast's registry, and afterwards their values off the online store."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from feast import Entity, FeatureService, FeatureView, LabelView, Project, StreamFeatureView
from feast import FeatureStore as Feast
from feast.data_source import DataSource
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.protos.feast.core.FeatureView_pb2 import FeatureView as FeatureViewProto
from feast.protos.feast.core.LabelView_pb2 import LabelView as LabelViewProto
from feast.protos.feast.core.StreamFeatureView_pb2 import StreamFeatureView as StreamFeatureViewProto

from keepfit.backends.feature_store.transaction import all_at_once

_REMOVING = "keepfit.removing"
"""The project's tag that holds the views whose online values are still to be taken off."""
_STORED: Mapping[str, tuple[Any, Any]] = {
    "FeatureView": (FeatureView, FeatureViewProto),
    "StreamFeatureView": (StreamFeatureView, StreamFeatureViewProto),
    "LabelView": (LabelView, LabelViewProto),
}


def remove(feast: Feast, things: Sequence[Any]) -> None:
    """Take objects out of the registry, all at once, and then their values off the online store.

    A removal that was cut short is finished too.
    """
    if things:
        _take_out(feast, things)
    take_off(feast)


def _take_out(feast: Feast, things: Sequence[Any]) -> None:
    registry, project = feast.registry, feast.project
    with all_at_once(feast):
        for thing in things:
            if isinstance(thing, Entity):
                registry.delete_entity(thing.name, project)
            elif isinstance(thing, DataSource):
                registry.delete_data_source(thing.name, project)
            elif isinstance(thing, FeatureService):
                registry.delete_feature_service(thing.name, project)
            else:
                registry.delete_feature_view(thing.name, project)
        tags = registry.get_project(project, allow_cache=False).tags
        note = json.dumps([*_noted(tags), *_notes(things)])
        registry.apply_project(Project(name=project, tags={**tags, _REMOVING: note}), commit=True)


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
    tags = {name: value for name, value in project.tags.items() if name != _REMOVING}
    feast.registry.apply_project(Project(name=feast.project, tags=tags), commit=True)


def _notes(things: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for each in things:
        if (kind := type(each).__name__) in _STORED:
            yield kind, b64encode(each.to_proto().SerializeToString()).decode()


def _noted(tags: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(kind, text) for kind, text in json.loads(tags.get(_REMOVING, "[]"))]


def _read(kind: str, text: str) -> Any:
    cls, proto = _STORED[kind]
    return cls.from_proto(proto.FromString(b64decode(text)))
