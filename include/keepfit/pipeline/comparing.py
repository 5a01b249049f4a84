"""What a window is compared with: the champion's training rows, as sketches; and samples to draw."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.pipeline.champion import LiveVersion
from keepfit.pipeline.describing import HOLDOUT_SCORES, SKETCHES
from keepfit.pipeline.monitored import PREDICTIONS, tables
from keepfit.pipeline.snapshot import Snapshot

if TYPE_CHECKING:
    import pandas as pd

    from keepfit.backends.sketches import Sketch

WINDOW_SKETCHES = "window_sketches.parquet"


@dataclass(frozen=True)
class Compared:
    """Both sides of a comparison: what the champion was trained on, and what came since."""

    reference: Mapping[str, "Sketch"]
    current: Mapping[str, "Sketch"]
    """Of all the window's predictions."""
    rows: int
    """How many the window has."""
    features: tuple[str, ...]


def compared(snapshot: Snapshot, champion: LiveVersion) -> Compared:
    """Sketch the window and read the champion's sketches.

    A column that the champion needs and the window lacks is a fault, unless another version that
    did not need it scored the whole window.
    """
    from keepfit.backends.sketches import write_sketches
    from keepfit.steps.sketch_window import sketch_window

    reference = reference_sketches(snapshot, champion)
    kinds = {name: each.kind for name, each in reference.items() if each.n}
    wanted = (*champion.features, "score")
    with tables(snapshot, PREDICTIONS) as connection:
        found = sketch_window(connection, PREDICTIONS, wanted, window=snapshot.the_window, kinds=kinds)
    with snapshot.folder.staged(WINDOW_SKETCHES) as path:
        write_sketches(path, found.sketches)
    needed = champion.features
    if champion.version not in found.versions:
        needed = tuple(each for each in needed if found.has(each))
    return Compared(reference, found.sketches, found.rows, needed)


def reference_sketches(snapshot: Snapshot, champion: LiveVersion) -> dict[str, "Sketch"]:
    """Read a version's sketches; one registered without them is known by a sample of its training rows.

    Its scores are those of its holdout, where they are known: of the rows it was trained on it is too sure.
    """
    import pandas as pd

    from keepfit.backends.engine import engine
    from keepfit.backends.sketches import read_sketches, sketch_values
    from keepfit.steps.sketch_reference import sketch_sample

    if kept := champion.attached(SKETCHES):
        return read_sketches(kept)
    with (
        snapshot.folder.scratch("reference") as scratch,
        engine(snapshot.project.engine, scratch) as connection,
    ):
        wanted = (*champion.features, "score")
        found = sketch_sample(connection, champion.reference, champion.kinds, wanted)
    if scores := champion.attached(HOLDOUT_SCORES):
        found["score"] = sketch_values(pd.read_parquet(scores)["score"].to_numpy("float64"))
    return found


def samples(snapshot: Snapshot, champion: LiveVersion) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """Read a sample of the champion's training rows, and one of the window's predictions."""
    import pandas as pd

    from keepfit.steps.sample_window import sample_window

    key = snapshot.datasets[snapshot.the_model.entities.dataset].key
    with tables(snapshot, PREDICTIONS) as connection:
        current = sample_window(connection, PREDICTIONS, key, champion.features, window=snapshot.the_window)
    return pd.read_parquet(champion.reference), current
