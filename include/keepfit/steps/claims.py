"""What the gate asks to be shown beyond chance, and how the answers to many such questions are told apart.

A challenger passes only if every claim is shown, each at the stated level. So whichever claim is untrue, it
passes with at most that chance, however many claims there are: an intersection-union test (Berger 1982). It
fails if any claim is refuted, and of many claims one is soon refuted by luck; Holm's procedure (1979) keeps
the chance of that below the level.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from keepfit.steps.checks import Check, Verdict, floor_text, meets
from keepfit.steps.draws import Estimate
from keepfit.steps.figures import figure, signed
from keepfit.steps.metrics import find_metric, is_higher_better

Kind = Literal["better", "not_worse", "floor"]


@dataclass(frozen=True)
class Claim:
    """Something that has to be shown, and what the holdout says of it."""

    kind: Kind
    metric: str
    bound: float
    """The least gain, the largest loss, or the floor."""
    estimate: Estimate
    """Of the challenger's metric less the champion's; for a floor, of the challenger's own."""
    ours: float
    """The challenger's metric."""
    theirs: float = math.nan
    """The champion's."""
    column: str | None = None
    slice: str | None = None
    """The column's value, if it is not about all rows."""

    @property
    def shown(self) -> bool:
        """Tell whether the holdout shows it; a floor is kept by the figure itself."""
        if self.kind == "floor":
            return meets(self.metric, self.ours, self.bound)
        gain = self.estimate.low if self._upwards else -self.estimate.high
        return gain > self.bound if self.kind == "better" else gain >= -self.bound

    @property
    def chance(self) -> float:
        """Return how likely the holdout would look this bad if the claim were just true."""
        sign = 1 if self._upwards else -1
        bound = {"better": self.bound, "not_worse": -self.bound, "floor": sign * self.bound}[self.kind]
        return self.estimate.chance(sign * self.estimate.value - bound)

    @property
    def _upwards(self) -> bool:
        return is_higher_better(find_metric(self.metric))

    def check(self, refuted: bool, confidence: float, note: str = "") -> Check:
        """Say what became of it.

        Args:
            refuted: Whether the holdout shows the contrary.
            confidence: Of the interval that is shown.
            note: More on what was asked for.
        """
        verdict: Verdict = "pass" if self.shown else "fail" if refuted else "undecided"
        where = f"{self.column} {self.slice}: " if self.column else ""
        found = (self.estimate.value, self.estimate.low, self.estimate.high)
        value, low, high = (each if math.isfinite(each) else None for each in found)
        text = f"{where}{self._text(verdict, f'{confidence * 100:g}', note)}"
        return Check(
            self.kind, verdict, text, self.metric, self.column, self.slice, value, low, high, self.bound
        )

    def _text(self, verdict: Verdict, confidence: str, note: str) -> str:
        if missing := self._missing:
            return missing
        low, high = self.estimate.low, self.estimate.high
        if self.kind == "floor":
            interval = f"{confidence} % interval [{figure(low)}, {figure(high)}]"
            kept = {
                "pass": "",
                "fail": f" beyond chance ({interval})",
                "undecided": f", maybe by chance ({interval})",
            }
            return floor_text(self.metric, self.ours, self.bound) + kept[verdict]
        figures = (
            f"the champion's {figure(self.theirs)} (difference {signed(self.estimate.value)}, "
            f"{confidence} % interval [{signed(low)}, {signed(high)}])"
        )
        if self.kind == "better":
            word = {"pass": "better", "fail": "not better", "undecided": "not clearly better"}[verdict]
            asked = f" by the {self.bound:.2g} asked for{note}" if self.bound else ""
            return f"{self.metric} {figure(self.ours)} is {word} than {figures}{asked}"
        word = {
            "pass": "is not worse",
            "fail": "is worse",
            "undecided": "may be worse",
        }[verdict]
        return (
            f"{self.metric} {figure(self.ours)} {word} than {figures} by more than the {self.bound:g} allowed"
        )

    @property
    def _missing(self) -> str | None:
        if not math.isfinite(self.estimate.value):
            return (
                f"{self.metric} cannot be computed on these rows for every model, so nothing is shown by it"
            )
        if not math.isfinite(self.estimate.error):
            return f"{self.metric} is not defined in too many of the draws, so nothing is shown by it"
        return None


def refuted(claims: Sequence[Claim], level: float) -> list[bool]:
    """Tell which claims the holdout refutes, with a chance of at most `level` to refute any true one."""
    chances = np.array([claim.chance for claim in claims])
    answers = [False] * len(claims)
    for rank, at in enumerate(np.argsort(chances, kind="stable")):
        if chances[at] > level / (len(claims) - rank):
            break
        answers[at] = True
    return answers
