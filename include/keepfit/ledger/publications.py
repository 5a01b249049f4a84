"""Which windows of which datasets are visible."""

from datetime import datetime

from sqlalchemy import and_, or_

from keepfit.ledger.records import Publication
from keepfit.ledger.store import Store
from keepfit.ledger.tables import publications
from keepfit.spec import Window


class Publications(Store):
    """The part of the ledger that knows what is published."""

    def record_publication(self, publication: Publication) -> None:
        """Record that a window became visible; recording it again changes nothing."""
        self._append(publications, publication)

    def publications(self, dataset: str) -> list[Publication]:
        """List a dataset's publications, oldest first."""
        of = publications.c
        return self._read(Publication, publications, of.dataset == dataset, of.id)

    def published_until(self, dataset: str) -> datetime | None:
        """Tell where a dataset's latest published window ends."""
        ends = [each.window_end for each in self.publications(dataset) if each.window_end]
        return max(ends, default=None)

    def covers(self, dataset: str, window: Window) -> bool:
        """Tell whether a dataset's published windows together leave no gap in this one.

        A snapshot's publication covers every window, before it and after it: whoever reads one says how old
        it is (`keepfit.pipeline.snapshot_age`).
        """
        of = publications.c
        touching = and_(of.window_start < window.end, of.window_end > window.start)
        wanted = and_(of.dataset == dataset, or_(of.window_start.is_(None), touching))
        reached = window.start
        for each in self._read(Publication, publications, wanted, of.window_start):
            if each.window_start is None or each.window_end is None:
                return True
            if each.window_start <= reached:
                reached = max(reached, each.window_end)
        return reached >= window.end
