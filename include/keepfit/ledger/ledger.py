"""The ledger: insert once, read for ever. Nothing in it updates or deletes."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Table, and_, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from keepfit.errors import DecisionError
from keepfit.ledger.engine import connect_to, parse_url, transaction
from keepfit.ledger.mover import only_mover
from keepfit.ledger.records import Approval, Decision, Deployment, Publication, Ruling, Training
from keepfit.ledger.tables import approvals, decisions, deployments, publications, rulings, trainings
from keepfit.spec import Window

PIECE = 10_000
"""How many rulings are read or written at a time."""
Record = TypeVar("Record", Publication, Decision, Training, Approval, Deployment, Ruling)


class Ledger:
    """The record of one project, in SQLite or PostgreSQL. Cheap to make; forks may share it."""

    def __init__(self, url: str) -> None:
        """Refer to a migrated database; nothing is opened yet."""
        self._engine = connect_to(parse_url(url))

    def record_publication(self, publication: Publication) -> None:
        """Record that a window became visible; recording it again changes nothing."""
        self._write(publications, publication)

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

    def decide(self, decision: Decision) -> Decision:
        """Record a decision unless its key is decided already; return the one that stands.

        Raises:
            DecisionError: The key stands for another model or window.
        """
        self._write(decisions, decision)
        stands = self.decision(decision.key) or decision
        if (stands.model, stands.window) != (decision.model, decision.window):
            raise DecisionError(
                f"The ledger holds the key {decision.key!r} for model {stands.model!r} and window "
                f"{stands.window.key}, not for {decision.model!r} and {decision.window.key}. "
                "Make keys with keepfit.ledger.decision_key."
            )
        return stands

    def decision(self, key: str) -> Decision | None:
        """Return the decision of a key, if there is one."""
        of = decisions.c
        return next(iter(self._read(Decision, decisions, of.key == key, of.key)), None)

    def decisions(self, model: str, since: datetime | None = None) -> list[Decision]:
        """List a model's decisions by data time; `since`: of windows that end after it."""
        of = decisions.c
        wanted = of.model == model
        if since is not None:
            wanted = and_(wanted, of.window_end > since)
        return self._read(Decision, decisions, wanted, of.window_end)

    def record_training(self, training: Training) -> None:
        """Record how a training run ended; its first verdict and its first error stand."""
        self._write(trainings, training, failed=training.verdict == "error")

    def trainings(self, model: str) -> list[Training]:
        """List a model's training runs, oldest first; an error only of those that came to no verdict."""
        of = trainings.c
        found = self._read(Training, trainings, of.model == model, of.recorded_at)
        judged = {each.run_id for each in found if each.verdict != "error"}
        return [each for each in found if each.verdict != "error" or each.run_id not in judged]

    def record_approval(self, approval: Approval) -> None:
        """Record what was said of a version; recording it again changes nothing."""
        self._write(approvals, approval)

    def approvals(self, model: str) -> list[Approval]:
        """List what was said of a model's versions, oldest first."""
        return self._read(Approval, approvals, approvals.c.model == model, approvals.c.answered_at)

    def record_deployment(self, deployment: Deployment) -> Deployment:
        """Record that an alias moved; a run recording its own last move again changes nothing.

        Returns:
            What is recorded. A mover whose clock is behind is recorded at the time of the move before his:
            the moves of an alias are in the order of their times.
        """
        while True:
            moves = self.deployments(deployment.model, deployment.alias)
            if moves and _as_moved(moves[-1]) == _as_moved(deployment):
                return moves[-1]
            if moves and moves[-1].moved_at > deployment.moved_at:
                deployment = replace(deployment, moved_at=moves[-1].moved_at)
            # Losing the position to another mover means reading again, not overwriting him.
            if self._write(deployments, deployment, position=len(moves)):
                return deployment

    def deployments(self, model: str, alias: str = "champion") -> list[Deployment]:
        """List the moves of a model's alias, oldest first."""
        of = deployments.c
        wanted = and_(of.model == model, of.alias == alias)
        return self._read(Deployment, deployments, wanted, of.position)

    def live(self, model: str, at: datetime | None = None, alias: str = "champion") -> Deployment | None:
        """Return the move that made a version live, now or at a time; None while none was."""
        moves = [move for move in self.deployments(model, alias) if at is None or move.moved_at <= at]
        return moves[-1] if moves and moves[-1].to_version is not None else None

    def moving(self, model: str, wait: timedelta) -> AbstractContextManager[bool]:
        """Keep all others who share a PostgreSQL ledger from moving a model's aliases until the block ends.

        A ledger in a file is of one machine, whose movers keep each other out by a lock of their own.

        Yields:
            Whether the others let go in time; if not, they may be at it still.
        """
        return only_mover(self._engine, model, wait)

    def rule(self, given: Iterable[Ruling]) -> int:
        """Record what becomes of rows in quarantine, all or none; a run saying it again changes nothing.

        Returns:
            How many were given.
        """
        count, pieces = 0, iter(given)
        with transaction(self._engine) as connection:
            while rows := [asdict(each) for each in islice(pieces, PIECE)]:
                connection.execute(self._insert(rulings).on_conflict_do_nothing(), rows)
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

    def _insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        return (sqlite.insert if self._engine.dialect.name == "sqlite" else postgresql.insert)(table)

    def _write(self, table: Table, record: Record, **more: int) -> bool:
        row = self._insert(table).values(**asdict(record), **more).on_conflict_do_nothing()
        with transaction(self._engine) as connection:
            return bool(connection.execute(row).rowcount)

    def _read(
        self, record: type[Record], table: Table, where: ColumnElement[bool], by: Column[Any]
    ) -> list[Record]:
        columns = [table.c[field.name] for field in fields(record)]
        with transaction(self._engine) as connection:
            rows = connection.execute(select(*columns).where(where).order_by(by)).mappings()
            return [record(**row) for row in rows]


def _as_moved(move: Deployment) -> tuple[str | None, float | None, str]:
    return move.to_version, move.share, move.run_id
