"""What a monitoring run reads of the lake: predictions and labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from keepfit.ledger import Ledger
from keepfit.pipeline.log_to import log_to
from keepfit.pipeline.snapshot import Snapshot
from keepfit.plugins import Access
from keepfit.spec.model import LABELS_AWAITED, ModelSpec
from keepfit.spec.window import Window

if TYPE_CHECKING:
    from keepfit.backends.engine import Connection
    from keepfit.steps.labels import Labels
    from keepfit.steps.made_predictions import MadePredictions

PREDICTIONS, SHADOW, ONLINE, LABELS = "predictions", "shadow", "online", "labels"
_ASKED_BEFORE = timedelta(days=31)
"""So long before its row's event time a request is looked for, at most."""


@contextmanager
def tables(snapshot: Snapshot, *names: str) -> Iterator["Connection"]:
    """Lend the engine with tables: the model's `predictions`, the `labels` it is judged by."""
    from keepfit.backends.engine import engine
    from keepfit.backends.lake import Lake

    lake = Lake(snapshot.locations.lake)
    published = {
        PREDICTIONS: predictions_of(snapshot.the_model),
        LABELS: snapshot.the_model.label_dataset,
    }
    with (
        snapshot.folder.scratch("tables") as scratch,
        engine(snapshot.project.engine, scratch) as connection,
    ):
        for name in names:
            # A table without rows has columns but no files.
            connection.register(name, lake.dataset(published[name]))
        yield connection


@contextmanager
def made_predictions(
    snapshot: Snapshot, connection: "Connection", access: Access
) -> Iterator["MadePredictions"]:
    """Show the engine what was scored beside and what was asked online, next to the `predictions`."""
    from keepfit.backends.engine import reading
    from keepfit.backends.lake import Lake
    from keepfit.backends.log_compaction import each_once
    from keepfit.backends.log_place import log_place
    from keepfit.steps.join_labels import LATEST
    from keepfit.steps.made_predictions import MadePredictions

    model, lake = snapshot.the_model, Lake(snapshot.locations.lake)
    batch = [PREDICTIONS]
    if lake.exists(shadow_of(model)):
        connection.register(SHADOW, lake.dataset(shadow_of(model)))
        batch.append(SHADOW)
    first = snapshot.the_window.start - model.label.delay - LATEST - _ASKED_BEFORE
    to = log_to(snapshot.project.serving, snapshot.locations, access)
    log = log_place(to.place, model.name, to.storage())
    files = [file for day in log.days() if day >= first.date() for file in log.files(day)]
    with reading(connection, log.system):
        if files:
            connection.execute(f"CREATE TEMP VIEW {ONLINE} AS {each_once(files)}")
        yield MadePredictions(tuple(batch), ONLINE if files else None)


def shadow_of(model: ModelSpec) -> str:
    """Name the table of what a challenger scored beside the champion."""
    return f"{predictions_of(model)}__shadow"


def predictions_of(model: ModelSpec) -> str:
    """Name the table of a model's predictions."""
    return f"predictions__{model.name}"


def labels_of(snapshot: Snapshot) -> "Labels":
    """Say where a model's labels lie."""
    from keepfit.steps.labels import Labels

    model = snapshot.the_model
    return Labels(
        table=LABELS,
        key=snapshot.datasets[model.entities.dataset].key,
        column=model.label.column,
        time=snapshot.datasets[model.label_dataset].event_time,
        where=model.entities.where if _is_own(model) else None,
        where_field=f"models/{model.name}.yaml: entities.where",
        own=_is_own(model),
    )


def awaits_labels(model: ModelSpec, window: Window, ledger: Ledger, now: datetime) -> bool:
    """Tell whether labels that become known in a window are still to be published.

    Labels that lie beside the rows were published with them. Those of another dataset are here once it
    is published up to the window's end: a stretch that never came must not hold up all that follow. A source
    that has dried up is not waited for either, once the predictions have been there for long.
    """
    if _is_own(model) or is_reached(model.label_dataset, window, ledger):
        return False
    predicted = [
        each.published_at
        for each in ledger.publications(predictions_of(model))
        if each.window_end is None or each.window_end >= window.end
    ]
    return not predicted or now - min(predicted) < LABELS_AWAITED


def is_reached(table: str, window: Window, ledger: Ledger) -> bool:
    """Tell whether a table is published up to a window's end, whatever lies before."""
    published = ledger.publications(table)
    return any(each.window_end is None or each.window_end >= window.end for each in published)


def unseen_windows(model: ModelSpec, window: Window, ledger: Ledger) -> tuple[Window, ...] | None:
    """Return the times of label rows that no training has seen; None where no training is recorded."""
    trained = [each.as_of for each in ledger.trainings(model.name) if each.verdict != "error"]
    if not trained:
        return None
    if max(trained) >= window.end:
        return ()
    known = Window(max(trained), window.end)
    return (known.shifted(-model.label.delay) if _is_own(model) else known,)


def _is_own(model: ModelSpec) -> bool:
    """Tell whether labels lie beside the rows they label, at their time, and not where they are learnt."""
    return model.label_dataset == model.entities.dataset
