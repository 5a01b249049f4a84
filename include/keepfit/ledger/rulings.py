"""What became of rows in quarantine: many at once, so written and read in pieces."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice

from sqlalchemy import func, select

from keepfit.ledger.chain import append_together
from keepfit.ledger.engine import transaction
from keepfit.ledger.records import Ruling
from keepfit.ledger.store import Store
from keepfit.ledger.tables import rulings

PIECE = 10_000
"""How many rulings are read or written at a time, and share a link."""


class Rulings(Store):
    """The part of the ledger that knows of rows in quarantine."""

    def rule(self, given: Iterable[Ruling]) -> int:
        """Record what becomes of rows in quarantine, all or none; a run saying it again changes nothing.

        Returns:
            How many were given.
        """
        count, pieces = 0, iter(given)
        with transaction(self._engine, alone=True) as connection:
            while rows := [asdict(each) for each in islice(pieces, PIECE)]:
                append_together(connection, rulings, rows)
                count += len(rows)
        return count

    def rulings(self, dataset: str) -> list[Ruling]:
        """List the rulings on a dataset's rows, oldest first: the last on a row stands."""
        return self._read(Ruling, rulings, rulings.c.dataset == dataset, rulings.c.id)

    def count_rulings(self, dataset: str) -> int:
        """Count the rulings on a dataset's rows; there are never fewer."""
        with transaction(self._engine) as connection:
            wanted = select(func.count()).select_from(rulings).where(rulings.c.dataset == dataset)
            return int(connection.execute(wanted).scalar_one())

    def ruled(self, dataset: str) -> Iterator[list[tuple[str, str, str]]]:
        """Read the rulings on a dataset's rows in pieces, oldest first: key, digest and ruling of each."""
        of, last = rulings.c, 0
        while True:
            wanted = select(of.id, of.row_key, of.digest, of.ruling)
            wanted = wanted.where(of.dataset == dataset, of.id > last).order_by(of.id).limit(PIECE)
            with transaction(self._engine) as connection:
                rows = connection.execute(wanted).all()
            if not rows:
                return
            last = rows[-1].id
            yield [(each.row_key, each.digest, each.ruling) for each in rows]
