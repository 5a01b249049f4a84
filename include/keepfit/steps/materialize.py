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
    """Later than the window's end if newer rows were published already and the online store has no guard."""


def materialize(
    store: "FeatureStore", dataset: DatasetSpec, window: Window, *, anew: bool = False
) -> Materialized:
    """Bring what was published in a window into the online store, or all of a snapshot.

    Any order of windows, and any window again, leads to the newest values. A view that is new to the online
    store gets all that is published, since the windows before were published without it. A snapshot's views
    are replaced by it, up to its newest row.

    Args:
        store: What the views are registered in.
        dataset: What was published.
        window: The window that was.
        anew: Replace the views by all that is published, so that nothing withdrawn is served on.
    """
    whole = anew or dataset.snapshot
    reach = Window(_FIRST, window.end) if whole else window.reaching_back(OVERLAP)
    done = [
        store.materialize(view, reach, replace=True)
        if whole
        else store.materialize(view, reach if store.is_materialized(view) else _whole(store, view, reach))
        for view in dataset.feature_views
    ]
    return Materialized(dataset.feature_views, reach.start, max([reach.end, *(each.end for each in done)]))


def _whole(store: "FeatureStore", view: str, least: Window) -> Window:
    """Take in all that is published of a view."""
    newest = store.newest(view)
    return Window(_FIRST, max(least.end, _after(newest)) if newest else least.end)


def _after(moment: datetime) -> datetime:
    return moment.replace(microsecond=0) + timedelta(seconds=1)


def rematerialize(store: "FeatureStore", view: str) -> Window | None:
    """Replace a view's online values by all that is published; None where nothing is."""
    newest = store.newest(view)
    if newest is None:
        return None
    return store.materialize(view, Window(_FIRST, _after(newest)), replace=True)
