"""The rows of the holdout as the gate sees them: what it can claim of them, and what it cannot judge."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from keepfit.spec import ModelSpec
from keepfit.spec.gate import GateSpec
from keepfit.steps.checks import Check
from keepfit.steps.claims import Claim, Kind
from keepfit.steps.compare import Comparison, compare
from keepfit.steps.draws import Draws, draw
from keepfit.steps.evaluate import CHALLENGER, Evaluation
from keepfit.steps.metrics import find_metric, is_higher_better, measure
from keepfit.steps.slices import Part, parts

LEAST_LEAD = 0.03
"""The share of the champion's lead over the baseline that a challenger must bring where nothing else is asked
for. Two seeds of one model were measured to differ by about so much (docs/gate.md)."""
_SHOWN = 5


@dataclass(frozen=True)
class JudgedRows:
    """The scored rows, their draws and what the spec asks of them."""

    evaluation: Evaluation
    scores: pd.DataFrame
    spec: ModelSpec

    @property
    def rule(self) -> GateSpec:
        """What is asked."""
        return self.spec.evaluate.gate

    @property
    def confidence(self) -> float:
        """Of each interval. Candidates share the error (Bonferroni), since the best is likely a lucky one."""
        return 1 - (1 - self.rule.confidence) / len(self.evaluation.candidates)

    @cached_property
    def draws(self) -> Draws:
        """Draws of the rows' days."""
        return draw(self.scores["event_time"], self.rule, self.spec.train.seed)

    @property
    def compared(self) -> bool:
        """Tell whether there is a champion with scores."""
        return self.evaluation.champion is not None

    @property
    def too_few(self) -> Check | None:
        """Say so if the rows are of too few days to compare by."""
        if needed := self.draws.too_few():
            few = f"the holdout has rows of {self.draws.days} days; a comparison needs {needed}."
            return Check("holdout", "undecided", f"{few} Lengthen `train.holdout`")
        return None

    @property
    def note(self) -> str:
        """Say where the asked-for effect comes from, if not from the spec."""
        share = f"{LEAST_LEAD * 100:g} % of the champion's lead over the baseline"
        return f" ({share})" if self.rule.min_effect is None else ""

    def claims(self) -> Iterator[Claim]:
        """Yield what has to be shown: of the objective, of the margins, of each slice."""
        if self.compared and not self.draws.too_few():
            yield self._against_champion("better", self.spec.evaluate.objective, self._min_effect())
            for name, margin in self.rule.not_worse_by.items():
                yield self._against_champion("not_worse", name, margin)
        for part in self._parts:
            if not part.too_small:
                yield from self._of_part(part)

    def comparison(self) -> Comparison | None:
        """Compare by the objective on all rows, however few their days."""
        if not self.compared:
            return None
        found = compare(self.scores, self.spec.evaluate.objective, self.draws, self.confidence)
        return Comparison(found.value, found.low, found.high, self.draws.days, self.draws.block)

    def unjudged(self) -> Iterator[str]:
        """Say which slices are too small."""
        for each in self.rule.slices:
            small = [part for part in self._parts if part.spec is each and part.too_small]
            if small:
                shown = ", ".join(f"{part.value} ({part.too_small})" for part in small[:_SHOWN])
                more = f" and {len(small) - _SHOWN} more" if len(small) > _SHOWN else ""
                yield f"not judged for too few rows or days: {each.column} {shown}{more}"

    def unjudged_columns(self) -> Iterator[Check]:
        """Say which columns have no slice that is large enough: there nothing is shown at all."""
        for each in self.rule.slices:
            if all(part.too_small for part in self._parts if part.spec is each):
                text = f"no slice of {each.column} has the {each.min_rows:,} rows and the days to be judged"
                yield Check("slices", "undecided", text)

    @cached_property
    def _parts(self) -> tuple[Part, ...]:
        return tuple(parts(self.scores, self.rule.slices, self.draws))

    def _min_effect(self) -> float:
        if self.rule.min_effect is not None:
            return self.rule.min_effect
        name = self.spec.evaluate.objective
        sign = 1 if is_higher_better(find_metric(name)) else -1
        lead = sign * ((self.evaluation.champion or {})[name] - self.evaluation.baseline[name])
        return LEAST_LEAD * max(lead, 0.0) if math.isfinite(lead) else 0.0

    def _of_part(self, part: Part) -> Iterator[Claim]:
        for name, floor in part.spec.floors.items():
            label, ours = (self.scores[each].to_numpy(np.float64) for each in ("label", CHALLENGER))
            value = self._ours(name, part)
            drawn = self.draws.of(name, label, ours, part.rows)
            found = self.draws.estimate(value, drawn, self.confidence, part.days)
            yield Claim("floor", name, floor, found, value, math.nan, *_place(part))
        if self.compared:
            for name, margin in part.spec.not_worse_by.items():
                yield self._against_champion("not_worse", name, margin, part)

    def _against_champion(self, kind: Kind, metric: str, bound: float, part: Part | None = None) -> Claim:
        rows, days = (part.rows, part.days) if part else (None, None)
        found = compare(self.scores, metric, self.draws, self.confidence, rows=rows, days=days)
        ours = self._ours(metric, part)
        return Claim(kind, metric, bound, found, ours, ours - found.value, *_place(part))

    def _ours(self, metric: str, part: Part | None) -> float:
        chosen = slice(None) if part is None else part.rows
        label, ours = (self.scores[name].to_numpy(np.float64)[chosen] for name in ("label", CHALLENGER))
        return measure((metric,), label, ours)[metric]


def _place(part: Part | None) -> tuple[str | None, str | None]:
    return (part.spec.column, part.value) if part else (None, None)
