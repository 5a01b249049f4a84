"""What the matrix of a replay is assembled from: the windows' rows, and what the cuts' models gave them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from keepfit.pipeline.monitored import LABELS, labels_of
from keepfit.pipeline.replayed import HISTORY, Replayed
from keepfit.spec.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from keepfit.backends.engine import Connection
    from keepfit.backends.sketches import Kind, Sketch
    from keepfit.policy import Matrix
    from keepfit.spec.model import ModelSpec
    from keepfit.steps.replay_cell import WindowRows


def make_matrix(replayed: Replayed, kind: str) -> "Matrix":
    """Hold every model of a kind of window against every window after it."""
    from keepfit.steps.replay_matrix import replay_matrix

    layout, spec = replayed.layout, replayed.models[kind]
    indexes = [index for index, cut in enumerate(layout.cuts) if cut[0] == kind]
    history = replayed.history(("event_time", "label"))
    sketches = _sketches(replayed)
    windows = [_rows(replayed, spec, window, history, sketches[window]) for window in layout.windows]
    cuts = [replayed.trained(index) for index in indexes]
    fresh = _new_rows(replayed, spec)
    return replay_matrix(spec, kind, windows, cuts, lambda cut, at: fresh[cut, at])


def _rows(
    replayed: Replayed,
    spec: "ModelSpec",
    window: Window,
    history: "pd.DataFrame",
    sketches: "Mapping[str, Sketch]",
) -> "WindowRows":
    import pandas as pd

    from keepfit.steps.due_rows import due_rows, predict_all
    from keepfit.steps.history import ROW
    from keepfit.steps.replay_cell import WindowRows

    first, until = history["event_time"].searchsorted([pd.Timestamp(window.start), pd.Timestamp(window.end)])
    made = history.iloc[first:until].assign(**{ROW: range(first, until)})
    key = replayed.snapshot.datasets[spec.entities.dataset].key
    with replayed.folder.scratch("due") as scratch, _labels(replayed) as connection:
        predict_all(connection, replayed.folder.file(HISTORY), key)
        due = due_rows(connection, labels_of(replayed.snapshot), spec, window, scratch)
    known = window.end <= replayed.layout.as_of - spec.label.delay
    return WindowRows(window, made, known, due, sketches)


def _sketches(replayed: Replayed) -> "dict[Window, Mapping[str, Sketch]]":
    """Sketch the features of each window's rows, and how many rows are alike."""
    from keepfit.backends.engine import engine, identifiers, scan
    from keepfit.backends.sketches import sketch_columns
    from keepfit.steps.alike_rows import ALIKE, alike_rows
    from keepfit.steps.made_predictions import between

    features, history = replayed.built.features, scan([replayed.folder.file(HISTORY)])
    kinds: dict[str, Kind | None] = {name: "category" for name, kind in features.items() if kind == "string"}
    with (
        replayed.folder.scratch("sketches") as scratch,
        engine(replayed.snapshot.project.engine, scratch) as connection,
    ):
        rows = {
            window: f"(SELECT {identifiers(features)} FROM {history} WHERE {between('event_time', window)})"
            for window in replayed.layout.windows
        }
        return {
            window: {
                **sketch_columns(connection, relation, tuple(features), kinds),
                ALIKE: alike_rows(connection, relation, tuple(features)),
            }
            for window, relation in rows.items()
        }


def _new_rows(replayed: Replayed, spec: "ModelSpec") -> dict[tuple[int, int], int]:
    """Count for each cut and window the labelled rows that no training since the cut has seen."""
    from keepfit.steps.labels import count_between

    windows = replayed.layout.windows
    unseen = [each.shifted(-spec.label.delay) for each in windows] if _own(spec) else windows
    with _labels(replayed) as connection:
        return count_between(connection, labels_of(replayed.snapshot), unseen)


@contextmanager
def _labels(replayed: Replayed) -> "Iterator[Connection]":
    """Lend the engine with the labels as they were when the history was built."""
    from keepfit.backends.engine import engine, scan

    name = replayed.snapshot.the_model.label_dataset
    files = replayed.lake.files(name, replayed.built.versions[name])
    with (
        replayed.folder.scratch("labels") as scratch,
        engine(replayed.snapshot.project.engine, scratch) as connection,
    ):
        connection.execute(f"CREATE TEMP VIEW {LABELS} AS SELECT * FROM {scan(files)}")
        yield connection


def _own(spec: "ModelSpec") -> bool:
    return spec.label_dataset == spec.entities.dataset
