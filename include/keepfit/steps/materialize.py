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


def materialize(store: "FeatureStore", dataset: DatasetSpec, window: Window) -> Materialized:
    """Bring what was published in a window into the online store, or all of a snapshot.

    Any order of windows, and any window again, leads to the newest values.
    """
    reach = Window(_FIRST, window.end) if dataset.snapshot else window.reaching_back(OVERLAP)
    for view in dataset.feature_views:
        reach = store.materialize(view, reach)
    return Materialized(dataset.feature_views, reach.start, reach.end)
