"""What a registry holds, as contents that can be held against those of another."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from feast import FeatureStore as Feast
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.on_demand_feature_view import OnDemandFeatureView
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]

from keepfit.backends.feature_store.config import FILE
from keepfit.backends.feature_store.lake_source import table_of
from keepfit.spec.content import Content, Contents, by_label, flat

_PASSING = frozenset({"meta", "dataSourceClassType", "version", "currentVersionNumber", "body", "project"})
"""What changes without an edit, or says the same twice: an on-demand view's code is there as text as well."""
_PUBLISHED = "published:"


def contents_of(feast: Feast, lake: Path) -> Contents:
    """Return all that is registered; where the lake lies makes no difference."""
    return by_label(_contents(feast, lake))


def online_store_of(repo: Path) -> Content:
    """Return which online store the repository names; a URL in it may hold a password."""
    named = yaml.safe_load((repo / FILE).read_text()).get("online_store")
    kind = named.get("type", "sqlite") if isinstance(named, Mapping) else str(named)
    digest = hashlib.sha256(repr(named).encode()).hexdigest()[:12]
    return Content("online store", FILE, {"type": str(kind), "settings": digest})


def _contents(feast: Feast, lake: Path) -> Iterator[Content]:
    registry, project = feast.registry, feast.project
    for entity in registry.list_entities(project, allow_cache=False):
        if entity.name != DUMMY_ENTITY_NAME:
            yield Content("entity", entity.name, _properties(entity, lake))
    for source in registry.list_data_sources(project, allow_cache=False):
        table = table_of(source)
        read = (f"dataset {table.name}",) if table is not None and table.parent == lake else ()
        yield Content("source", source.name, _properties(source, lake), read)
    for view in registry.list_all_feature_views(project, allow_cache=False):
        yield _view(view, lake)
    for service in registry.list_feature_services(project, allow_cache=False):
        used = (_view_label(registry, project, each.name) for each in service.feature_view_projections)
        yield Content("feature service", service.name, _properties(service, lake), tuple(used))


def _view(view: Any, lake: Path) -> Content:
    if isinstance(view, OnDemandFeatureView):
        views = (f"feature view {each.name}" for each in view.source_feature_view_projections.values())
        requests = (f"source {each}" for each in view.source_request_sources)
        return Content("on-demand view", view.name, _properties(view, lake), (*views, *requests))
    entities = (f"entity {each}" for each in view.entities if each != DUMMY_ENTITY_NAME)
    source = (f"source {view.batch_source.name}",) if view.batch_source else ()
    return Content("feature view", view.name, _properties(view, lake), (*entities, *source))


def _view_label(registry: Any, project: str, name: str) -> str:
    view = registry.get_any_feature_view(name, project, allow_cache=True)
    return f"{'on-demand view' if isinstance(view, OnDemandFeatureView) else 'feature view'} {name}"


def _properties(thing: Any, lake: Path) -> dict[str, str]:
    proto = thing.to_proto()
    said = MessageToDict(getattr(proto, "spec", proto))
    return {path: _portable(value, lake) for path, value in flat(_lasting(said)).items() if path != "name"}


def _lasting(value: Any) -> Any:
    """Leave out what passes, and of what belongs to another object all but its name."""
    if isinstance(value, dict):
        kept = {key: _lasting(each) for key, each in value.items() if key not in _PASSING}
        if "featureViewName" in kept:
            kept |= {
                "name": kept.pop("nameAlias", kept["featureViewName"]),
                "featureColumns": [each["name"] for each in value.get("featureColumns", ())],
            }
            kept.pop("batchSource", None)
        return kept
    return [_lasting(each) for each in value] if isinstance(value, list) else value


def _portable(value: str, lake: Path) -> str:
    return value.replace(f"{lake}/", _PUBLISHED, 1) if value.startswith(f"{lake}/") else value
