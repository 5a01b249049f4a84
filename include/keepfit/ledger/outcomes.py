"""How well versions did, window by window, and what each decision came to."""

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import and_

from keepfit.ledger.chain import append_together
from keepfit.ledger.engine import transaction
from keepfit.ledger.loop import LoopRow, loop_query
from keepfit.ledger.records import Outcome
from keepfit.ledger.store import Store
from keepfit.ledger.tables import outcomes


class Outcomes(Store):
    """The part of the ledger that knows what came of it."""

    def record_outcomes(self, measured: Iterable[Outcome]) -> None:
        """Record how versions did in a window; what was measured first of each metric stands."""
        with transaction(self._engine, alone=True) as connection:
            append_together(connection, outcomes, [asdict(each) for each in measured])

    def outcomes(self, model: str, metric: str | None = None) -> list[Outcome]:
        """List how a model's versions did, by data time."""
        of = outcomes.c
        wanted = of.model == model
        if metric is not None:
            wanted = and_(wanted, of.metric == metric)
        return self._read(Outcome, outcomes, wanted, of.window_end)

    def loop(self, model: str) -> list[LoopRow]:
        """Follow each decision about a model to its run, its version, its deployment and what came of it.

        Returns:
            By data time, a row for each metric that was measured; one without, where none was.
        """
        with transaction(self._engine) as connection:
            return [LoopRow(**row) for row in connection.execute(loop_query(model)).mappings()]
