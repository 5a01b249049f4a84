"""How an ingest makes a window visible, and what that is to wake."""

from typing import Any

from keepfit.ledger import Ledger
from keepfit.pipeline.set_aside import SetAside
from keepfit.pipeline.snapshot import Snapshot
from keepfit.spec import Window

PUBLISHED = "published.parquet"
_KEPT = 0.5
"""A publication with a smaller share than this of the rows before is told."""


class Publishing:
    """The publication of one window by one run."""

    def __init__(self, snapshot: Snapshot, window: Window, *, anew: bool) -> None:
        """Publish a window; `anew`: in place of all that is published."""
        self._snapshot = snapshot
        self._dataset = snapshot.the_dataset
        self._ledger = Ledger(snapshot.locations.ledger_url)
        self._file = snapshot.folder.file(PUBLISHED)
        self._window = window
        self._anew = anew

    def publish(self, aside: SetAside) -> dict[str, Any]:
        """Publish what is set aside, then the window; return the step's result."""
        from keepfit.backends.lake import Lake
        from keepfit.steps.publish import publish

        wakes, before = self._wakes(), self._rows_before()
        # First, so that no row is ever neither published nor on record as set aside.
        aside.publish(self._window, anew=self._anew)
        published = publish(
            Lake(self._snapshot.locations.lake),
            self._ledger,
            self._dataset,
            self._window,
            file=self._file,
            run_id=self._snapshot.run_id,
            anew=self._anew,
        )
        warnings = [] if published.rows else ["The window has no rows; it is published as empty."]
        if published.rows < _KEPT * before:
            warnings.append(
                f"{published.rows:,} rows take the place of {before:,} that were published. "
                "If the source has lost the others, restore it and run this again."
            )
        if doubled := self._doubled_keys(published.version):
            warnings.append(doubled)
        return {
            "window": self._window.key,
            "rows": published.rows,
            "version": published.version,
            "digest": published.digest,
            "wakes": wakes,
            "warnings": warnings,
        }

    def _rows_before(self) -> int:
        """Count the published rows that this run replaces."""
        from keepfit.backends.lake import Lake

        lake, dataset = Lake(self._snapshot.locations.lake), self._dataset
        if dataset.snapshot or not lake.exists(dataset.name):
            return 0
        return lake.count(dataset.name, None if self._anew else (dataset.event_time, self._window))

    def _doubled_keys(self, version: int) -> str | None:
        """Look for the window's keys in the other windows; a full refresh leaves no other."""
        from keepfit.backends.lake import Lake
        from keepfit.steps.doubled_keys import Table, doubled_keys

        if self._anew:
            return None
        files = Lake(self._snapshot.locations.lake).files(self._dataset.name, version)
        with self._snapshot.folder.scratch("publish") as scratch:
            table = Table(files, self._snapshot.project.engine, scratch)
            return doubled_keys(self._dataset, self._window, self._file, table)

    def _wakes(self) -> bool:
        """Tell whether the publication shall wake what waits for the window.

        A full refresh does not, nor a window computed again: it would be scored again, over the predictions
        on record.
        """
        if self._anew:
            return False
        return not self._snapshot.settings.get("recompute") or not any(
            each.run_id != self._snapshot.run_id and each.window and each.window.contains(self._window)
            for each in self._ledger.publications(self._dataset.name)
        )
