"""Publish: make a window's rows visible, all at once, and record that they are."""

from pathlib import Path

from keepfit.backends.lake import Lake
from keepfit.ledger import Ledger, Publication
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.window import Window


def publish(
    lake: Lake,
    ledger: Ledger,
    dataset: DatasetSpec,
    window: Window,
    *,
    file: Path,
    run_id: str,
    anew: bool = False,
) -> Publication:
    """Replace a dataset's window, or the whole of a snapshot, by the rows of a file; then record it.

    Doing it again changes nothing, also if the first try died between the two.

    Args:
        lake: Where to.
        ledger: Where it is recorded.
        dataset: What.
        window: The window; all rows of the file are in it.
        file: The rows, sorted.
        run_id: Who.
        anew: Replace the whole table by this window, whatever its columns were.

    Raises:
        SchemaError: The published table has columns or types that the rows lack.
    """
    whole = dataset.snapshot or anew
    done = lake.publish(
        dataset.name,
        file,
        time_column=dataset.event_time,
        window=None if whole else window,
        columns="replace" if anew else "grow",
    )
    publication = Publication(
        dataset=dataset.name,
        window_start=None if dataset.snapshot else window.start,
        window_end=window.end,
        rows=done.rows,
        digest=done.digest,
        version=done.version,
        run_id=run_id,
    )
    ledger.record_publication(publication)
    return publication
