"""How trainings ended, what was said of their versions, and which version was live when."""

from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta

from keepfit.ledger.engine import transaction
from keepfit.ledger.mover import only_mover
from keepfit.ledger.past import Past
from keepfit.ledger.records import Approval, Deployment, Training
from keepfit.ledger.store import Store
from keepfit.ledger.tables import approvals, deployments, trainings


class Moves(Store):
    """The part of the ledger that knows a model's versions."""

    def record_training(self, training: Training) -> None:
        """Record how a training run ended; its first verdict and its first error stand."""
        self._append(trainings, training, failed=training.verdict == "error")

    def trainings(self, model: str) -> list[Training]:
        """List a model's training runs, oldest first; an error only of those that came to no verdict."""
        with transaction(self._engine) as connection:
            return Past(connection).trainings(model)

    def record_approval(self, approval: Approval) -> None:
        """Record what was said of a version; recording it again changes nothing."""
        self._append(approvals, approval)

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
            if self._append(deployments, deployment, position=len(moves)):
                return deployment

    def deployments(self, model: str, alias: str = "champion") -> list[Deployment]:
        """List the moves of a model's alias, oldest first."""
        with transaction(self._engine) as connection:
            return Past(connection).deployments(model, alias)

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


def _as_moved(move: Deployment) -> tuple[str | None, float | None, str]:
    return move.to_version, move.share, move.run_id
