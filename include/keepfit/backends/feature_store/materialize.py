"""Brings published values into the online store, so that it always ends up with the newest."""

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow.compute as pc
from feast import FeatureStore as Feast

from keepfit.backends.feature_store.check import view_problems
from keepfit.backends.feature_store.lake_source import table_of
from keepfit.backends.feature_store.online.guarded import GuardedOnlineStore
from keepfit.backends.feature_store.quiet import quiet
from keepfit.backends.feature_store.replacing import being_replaced, note, strike
from keepfit.backends.lake import Lake
from keepfit.errors import FeatureStoreError
from keepfit.spec import Window


def materialize(feast: Feast, view: str, window: Window, *, replace: bool = False) -> Window:
    """Load a view's newest values of a window, and return what was looked through.

    Whatever the order of the runs, each entity with a row in one of the windows ends up with its newest.

    With `replace` it is read on to the newest published row, and nothing is left online that was not found;
    what was there is served meanwhile. If it is cut short, the next one for this view does it again, whatever
    its window. Stores that are not keepfit's keep entities that are published no more.
    """
    _refuse_unfit(feast, view)
    store = feast._get_provider().online_store
    if not isinstance(store, GuardedOnlineStore):
        return _load(feast, view, _to_the_newest(feast, view, window))
    if unfinished := being_replaced(feast, view):
        window = Window(min(window.start, unfinished.start), max(window.end, unfinished.end))
    elif not replace:
        return _load(feast, view, window)
    reach, found = _to_the_newest(feast, view, window), feast.get_feature_view(view)
    note(feast, view, reach)
    store.loosen(feast.config, found)
    _load(feast, view, reach)
    store.sweep(feast.config, found)
    strike(feast, view)
    return reach


def _load(feast: Feast, view: str, reach: Window) -> Window:
    with quiet():
        feast.materialize(reach.start, reach.end, feature_views=[view])
    return reach


def _to_the_newest(feast: Feast, view: str, window: Window) -> Window:
    """Stretch a window to the newest published row.

    Feast's SQLite and DynamoDB stores let an older window overwrite newer values (measured), as a backfill or
    a cleared run would.
    """
    source = feast.get_feature_view(view).batch_source
    table = table_of(source)
    newest = newest_of(table, source.timestamp_field) if table else None
    if newest is None:
        return window
    return Window(window.start, max(window.end, newest.replace(microsecond=0) + timedelta(seconds=1)))


def _refuse_unfit(feast: Feast, view: str) -> None:
    """Hold a view against its table, which may have been published after the view was registered."""
    entities = {each.name: each for each in feast.list_entities()}
    if problems := list(view_problems(feast.get_feature_view(view), entities)):
        raise FeatureStoreError("\n".join(f"features.py: {problem}" for problem in problems))


def newest_of(table: Path, column: str) -> datetime | None:
    """Return the newest time in a published table's column, if it has rows."""
    batches = Lake(table.parent).dataset(table.name).to_batches(columns=[column])
    moments: list[datetime] = [pc.max(batch.column(0)).as_py() for batch in batches if batch.num_rows]
    return max(moments, default=None)
