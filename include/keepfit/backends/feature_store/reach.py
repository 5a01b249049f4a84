"""The stores Feast writes to, which may be locked or away: asked before anything is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from feast import FeatureStore as Feast
from feast.infra.online_stores.sqlite import SqliteOnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from keepfit.errors import KeepfitError, NotReadyError
from keepfit.spec import Locations
from keepfit.spec.content import Content


@contextmanager
def registry_at(locations: Locations) -> Iterator[None]:
    """Say what to do about a registry that is locked or away.

    Raises:
        NotReadyError: The registry's database does not answer.
    """
    try:
        yield
    except OperationalError as error:
        where = make_url(locations.feast_registry_url).render_as_string(hide_password=True)
        told = str(error.orig).strip().splitlines()[0]
        what = "is locked by another process" if "locked" in told else "does not answer"
        raise NotReadyError(
            f"Feast's registry at {where} {what} ({told}). The features stay as they are registered. "
            "See with `keepfit status` whether its database runs, end what holds it, and try again."
        ) from error


def reach_online_store(feast: Feast) -> None:
    """Read one key of a registered view, which need not be there. A file is always within reach.

    Raises:
        NotReadyError: The online store does not answer.
    """
    views = feast.list_feature_views()
    if not views or is_sqlite(feast):
        return
    nobody = EntityKey(join_keys=["keepfit"], entity_values=[Value(string_val="nobody")])
    try:
        feast._get_provider().online_read(feast.config, views[0], [nobody], [views[0].features[0].name])
    except KeepfitError:
        raise
    except Exception as error:
        kind = feast.config.online_store.type
        raise NotReadyError(
            f"The online store ({kind}) does not answer: {type(error).__name__}: {error}. "
            "Nothing was changed. Start it, or correct `online_store` in feature_store.yaml, and try again."
        ) from error


def is_sqlite(feast: Feast) -> bool:
    """Tell whether the online store is a SQLite file, which takes one writer at a time."""
    return isinstance(feast._get_provider().online_store, SqliteOnlineStore)


def registered_object(feast: Feast, content: Content) -> Any:
    """Return the Feast object that a content describes."""
    registry, project, name = feast.registry, feast.project, content.name
    if content.kind == "entity":
        return registry.get_entity(name, project)
    if content.kind == "source":
        return registry.get_data_source(name, project)
    if content.kind == "feature service":
        return registry.get_feature_service(name, project)
    return registry.get_any_feature_view(name, project)
