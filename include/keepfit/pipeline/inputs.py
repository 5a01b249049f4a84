"""What a dataset that is computed from others is computed from, and whether it is there."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from keepfit.errors import NotReadyError
from keepfit.ledger import Ledger
from keepfit.pipeline.snapshot import Snapshot
from keepfit.spec import Window
from keepfit.spec.dataset import DatasetsSource


def missing_inputs(snapshot: Snapshot, window: Window) -> dict[str, Window]:
    """Return, by input, what a window is computed from and is not published whole.

    Nothing is waited for that lies before an input's first window.
    """
    dataset, ledger = snapshot.the_dataset, Ledger(snapshot.locations.ledger_url)
    lookback = dataset.source.lookback if isinstance(dataset.source, DatasetsSource) else timedelta()
    read = window.reaching_back(lookback)
    found = {}
    for name in dataset.inputs:
        starts = [each.window_start for each in ledger.publications(name) if each.window_start]
        begin = max(read.start, min(starts)) if starts else window.start
        needed = Window(min(window.start, begin), window.end)
        if not ledger.covers(name, needed):
            found[name] = needed
    return found


def fixed_inputs(snapshot: Snapshot, window: Window) -> dict[str, int]:
    """Fix the inputs' versions, so that a retry computes from the same rows.

    Raises:
        NotReadyError: Not all of what the window is computed from is published.
    """
    from keepfit.backends.lake import Lake

    lake, dataset = Lake(snapshot.locations.lake), snapshot.the_dataset
    if missing := missing_inputs(snapshot, window):
        raise NotReadyError(
            f"Dataset {dataset.name}: {', '.join(missing)} is not published for the whole of "
            f"{', '.join(dict.fromkeys(each.key for each in missing.values()))}, and it is computed from "
            "it. Ingest that first, or try again when it is there; `keepfit list` shows the gaps."
        )
    return {name: lake.version(name) for name in dataset.inputs}


def input_views(
    snapshot: Snapshot, source: DatasetsSource, versions: Mapping[str, int], window: Window
) -> list[Any]:
    """Return the views of the inputs that a transform may read, at the versions fixed before."""
    from keepfit.backends.lake import Lake
    from keepfit.steps.transform_views import input_view

    lake = Lake(snapshot.locations.lake)
    given = (snapshot.datasets[name] for name in source.inputs)
    return [input_view(lake, each, versions[each.name], source, window) for each in given]
