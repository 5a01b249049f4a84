"""A version that answers: how it codes and scores rows, and where its answers are logged."""

import asyncio
from dataclasses import dataclass, field

import numpy as np

from keepfit.backends.prediction_log import PredictionLog
from keepfit.backends.row_scorers import RowCoder, RowScorer
from keepfit.serving.batching import Batcher

Numbers = list[float]
_AT_ONCE = 64
"""Rows that are scored between two other requests; more go into a thread."""


@dataclass(frozen=True, eq=False)
class ServedVersion:
    """A version of a model, ready to answer."""

    model: str
    version: str
    coder: RowCoder
    scorer: RowScorer
    log: PredictionLog | None
    batcher: Batcher[Numbers, float] | None = field(default=None)
    """Where one row would hold up the others."""

    async def score(self, rows: list[Numbers]) -> list[float]:
        """Score coded rows without holding up other requests for long."""
        if self.batcher is not None and len(rows) <= _AT_ONCE:
            return list(await self.batcher.ask(rows))
        if len(rows) > _AT_ONCE:
            return await asyncio.to_thread(self.score_now, rows)
        return self.score_now(rows)

    def score_now(self, rows: list[Numbers]) -> list[float]:
        """Score coded rows here."""
        scores: list[float] = self.scorer.score(np.array(rows, dtype=np.float64)).tolist()
        return scores
