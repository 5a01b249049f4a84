"""Choose a model's policy by replay, and say so: on a terminal, as YAML for the model's file, as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Any

from keepfit.policy import Matrix, Ranking, Tried, rank
from keepfit.policy.candidates import PRESENT
from keepfit.policy.parts import Part
from keepfit.spec.fields import duration_text
from keepfit.spec.model import ModelSpec
from keepfit.spec.policy import PolicySpec
from keepfit.spec.yaml_file import yaml_text
from keepfit.steps.replay_settings import kind_of, rows_of

_BEST_SHOWN = 3
"""Of the policies tried, so many of the cheapest are in the short table."""


@dataclass(frozen=True)
class Choice:
    """The policy that a replay shows to be cheapest, and how much that is worth."""

    ranking: Ranking
    matrices: tuple[Matrix, ...]
    label_delay: str
    kind_now: str
    """The kind of training rows that the model's file says."""

    @property
    def policy(self) -> PolicySpec:
        """The one chosen, with the replay as its reason."""
        return self.ranking.winner.candidate.policy.model_copy(update={"because": self._because()})

    @property
    def suggestion(self) -> str:
        """What to write into the model's file, as YAML."""
        kind = self.ranking.winner.kind
        rows, now = rows_of(kind), rows_of(self.kind_now)
        other = {name: value for name, value in rows.items() if value != now[name]}
        said = {**({"train": other} if other else {}), "policy": written(self.policy)}
        return yaml_text(said, width=100)

    def lines(self) -> list[str]:
        """Say it in a short table, how sure it is, and what to write into the model's file."""
        from keepfit.steps.choice_words import evidence, table

        return [*table(self), "", *evidence(self), "", *self.suggestion.splitlines()]

    def shown(self) -> list[Tried]:
        """Return what a short table holds: the chosen, the cheapest, the present and the usual ones."""
        found = self.ranking
        return list(dict.fromkeys([found.winner, *found.tried[:_BEST_SHOWN], found.present, *found.fixed]))

    @property
    def parts(self) -> tuple[Part, Part]:
        """The windows chosen on, and those reported on."""
        return self.ranking.choosing, self.ranking.reporting

    def title(self, tried: Tried) -> str:
        """Name a policy, with the rows it trains on where these are not the present; marked if chosen."""
        kind = f" [{tried.kind}]" if tried.kind != self.kind_now else ""
        found, name = self.ranking, tried.candidate.title
        now = " (as now)" if tried is found.present and name != PRESENT else ""
        return f"{'* ' if tried is found.winner else ''}{name}{now}{kind}"

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON."""
        from keepfit.steps.choice_json import choice_json

        return choice_json(self)

    def _because(self) -> str:
        found = self.ranking
        mine = found.winner.candidate.policy.rules
        others = [each for each in found.fixed if each.candidate.policy.rules != mine]
        cheapest = min(others[1:] or others, key=lambda each: each.chosen_on.cost(found.price))
        never = [each for each in others if each.candidate.name == "never"]
        said = []
        for at, part in enumerate(self.parts):
            named = " and ".join(
                f"{to_price(each.walks[at].cost(found.price), found.price)} {each.candidate.name}"
                for each in dict.fromkeys((*never, cheapest))
            )
            cost = to_price(found.winner.walks[at].cost(found.price), found.price)
            said.append(f"{dates(part)}: cost {cost} against {named}")
        return (
            f"replay of {said[0]}, a training at {found.price:g} of {found.objective}; "
            f"not chosen on but held against {said[1]}"
        )


def choose_policy(
    spec: ModelSpec, matrices: Sequence[Matrix], cost: float, split: float = 0.5, gate: bool = True
) -> Choice:
    """Choose on the first part of the windows which policy costs least, and hold it against the rest.

    Args:
        spec: The model, with its present policy.
        matrices: One for each kind of training rows.
        cost: Of one training, in units of the objective summed over windows.
        split: The share of the windows to choose on.
        gate: Whether challengers have to pass the gate.

    Raises:
        ReplayError: The cost or the split is impossible, the windows are too few or differ by kind.
    """
    now = kind_of(spec)
    ordered = sorted(matrices, key=lambda each: each.kind != now)
    ranking = rank(spec.policy, ordered, cost, split, gate)
    return Choice(ranking, tuple(ordered), duration_text(spec.label.delay), now)


def to_price(value: float, price: float, sign: str = "") -> str:
    """Write a figure as finely as the price of a training is worth looking at: to a hundredth of it.

    Args:
        value: A loss, cost or regret.
        price: Of one training.
        sign: `+` to write it before positive figures, too.
    """
    return f"{value:{sign},.{min(9, max(0, 2 - floor(log10(price))))}f}"


def dates(part: Part) -> str:
    """Say when a part was."""
    return f"{part.start:%Y-%m-%d} to {part.end:%Y-%m-%d}"


def written(policy: PolicySpec) -> dict[str, Any]:
    """Return the fields that say something: the rules in full, of the rest what differs from the defaults."""
    said = policy.model_dump(mode="json")
    plain = PolicySpec().model_dump(mode="json")
    return {name: value for name, value in said.items() if name == "rules" or value != plain[name]}
