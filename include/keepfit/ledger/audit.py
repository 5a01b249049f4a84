"""Holds every link against the one before, and every row against its link."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, Row, select

from keepfit.ledger.chain import BATCHED, GENESIS, KEYS, digest_of
from keepfit.ledger.engine import transaction
from keepfit.ledger.sealed import PIECE, Seal, check_batches, check_rows
from keepfit.ledger.store import Store
from keepfit.ledger.tables import links

_NOW = "Put it right from a backup, and see who but keepfit may write to this database."


@dataclass(frozen=True)
class Audit:
    """What an audit found."""

    links: int
    head: str
    """The newest link's digest. Noted elsewhere, it tells later whether links up to it were made anew."""
    findings: tuple[str, ...]
    """Each says where, what, and what to do now."""


class Audited(Store):
    """The part of the ledger that checks it."""

    def audit(self, head: str | None = None) -> Audit:
        """Find what was changed, removed, put in or put in another order by hand.

        Args:
            head: The head of an earlier audit, which the chain must hold still.
        """
        with transaction(self._engine, steady=True) as connection:
            chain = _Chain(noted=head)
            found = [each for link in _links(connection) for each in chain.take(link)]
            found += [*chain.end(), *_rows(connection, chain.seals)]
        return Audit(chain.expected, chain.before[0], tuple(f"{each} {_NOW}" for each in found))


def _links(connection: Connection) -> Iterator[Row[int, str, str, str, str]]:
    of = links.c
    wanted = select(of.position, of.table, of.key, of.sealed, of.digest).order_by(of.position)
    yield from connection.execute(wanted, execution_options={"yield_per": PIECE})


def _rows(connection: Connection, seals: dict[str, list[Seal]]) -> Iterator[str]:
    for table in KEYS:
        yield from check_rows(connection, table, seals[table])
    for table in BATCHED:
        yield from check_batches(connection, table, seals[table])


@dataclass
class _Chain:
    """The walk along the links."""

    noted: str | None
    expected: int = 0
    before: tuple[str, ...] = (GENESIS,)
    """The digest of the link before, as it is stored, and as it should be."""
    seals: dict[str, list[Seal]] = field(default_factory=lambda: {name: [] for name in (*KEYS, *BATCHED)})
    is_noted_there: bool = False

    def take(self, link: Row[int, str, str, str, str]) -> Iterator[str]:
        """Check the next link."""
        position, table, key, sealed, stored = link
        if not isinstance(position, int):
            # SQLite keeps it, and lists it last.
            yield f"Link {position!r} of the chain ({table} {key}): its place was changed."
            return
        contents = (position, table, key, sealed)
        should = {digest_of(each, *contents) for each in self.before}
        if position != self.expected:
            # What the digest before the gap was is not known, so only the gap is told.
            yield f"The link{_span(self.expected, position - 1)} of the chain: gone."
        elif stored not in should:
            yield f"Link {position} of the chain ({table} {key}): changed, or put in the place of another."
        self.expected, self.before = position + 1, (stored, *should)
        self.is_noted_there = self.is_noted_there or stored == self.noted
        if table in self.seals:
            self.seals[table].append(Seal(position, key, sealed))

    def end(self) -> Iterator[str]:
        """Look for the head that was noted."""
        if self.noted and self.noted != GENESIS and not self.is_noted_there:
            yield (
                f"The head {self.noted}, which was noted earlier: not in the chain, "
                "so the end was cut off, or links were made anew."
            )


def _span(first: int, last: int) -> str:
    return f" {first}" if first == last else f"s {first} to {last}"
