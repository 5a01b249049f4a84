"""Materialize: bring a dataset's published values into the online store."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from keepfit.spec import DatasetSpec, Window

if TYPE_CHECKING:
    from keepfit.backends.feature_store import FeatureStore

OVERLAP = timedelta(hours=1)
"""How far before a window is looked as well, for rows at its edge."""
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Materialized:
    """What the online store now has the newest values of."""

    views: tuple[str, ...]
    start: datetime
    end: datetime
    """Later than the window's end if newer rows were published already."""


def materialize(store: "FeatureStore", dataset: DatasetSpec, window: Window) -> Materialized:
    """Bring what was published in a window into the online store, or all of a snapshot.

    Any order of windows, and any window again, leads to the newest values. A view that is new to the online
    store gets all that is published, since the windows before were published without it.
    """
    reach = Window(_FIRST if dataset.snapshot else window.start - OVERLAP, window.end)
    for view in dataset.feature_views:
        since = reach.start if store.is_materialized(view) else _FIRST
        reach = Window(reach.start, store.materialize(view, Window(since, reach.end)).end)
    return Materialized(dataset.feature_views, reach.start, reach.end)


def rematerialize(store: "FeatureStore", view: str) -> Window | None:
    """Bring all published values of a view into the online store; None where nothing is published."""
    newest = store.newest(view)
    if newest is None:
        return None
    return store.materialize(view, Window(_FIRST, newest.replace(microsecond=0) + timedelta(seconds=1)))
