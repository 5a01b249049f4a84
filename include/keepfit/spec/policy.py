"""`policy:` of a model: which signals ask for a training, and what holds a training back."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, Union

from pydantic import Field, model_validator

from keepfit.spec.fields import Closed, Duration, PositiveDuration

BY_REGRET = ("regret", "upf")
BY_DRIFT = ("drift_share", "prediction_drift", "weighted_drift")
"""Rules that see a shift, and not whether it does harm."""
Above = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Windows = Annotated[int, Field(ge=1, le=1000)]


class Calendar(Closed):
    """Asks when the champion's data is so old."""

    rule: Literal["calendar"]
    every: PositiveDuration


class DriftShare(Closed):
    """Asks when this share of the columns has drifted. The default is Evidently's, for compatibility."""

    rule: Literal["drift_share"]
    share: Annotated[float, Field(gt=0, le=1)] = 0.5


class Performance(Closed):
    """Asks when matured labels say that the champion does worse than on its own holdout, or than no model."""

    rule: Literal["performance"]
    worse_by: Above = 0.1
    """How much worse the objective must be, relative to the holdout's."""


class PredictionDrift(Closed):
    """Asks when the champion's scores are so far from those of its holdout."""

    rule: Literal["prediction_drift"]
    threshold: Above


class WeightedDrift(Closed):
    """Asks when the drift of the features, each weighed by its importance to the champion, is so large."""

    rule: Literal["weighted_drift"]
    threshold: Above


class Regret(Closed):
    """Asks when what a fresh challenger would have saved adds up to the cost of a training."""

    rule: Literal["regret"]
    cost: Above
    """Of one training, in units of the objective summed over windows."""


class Upf(Closed):
    """Asks when the regret forecast from the champion's windows so far is likely to exceed the cost."""

    rule: Literal["upf"]
    cost: Above
    """Of one training, in units of the objective summed over windows."""
    horizon: Windows = 4
    """How many windows ahead are forecast."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.8
    """How likely it must be that the regret over the horizon exceeds the cost."""


class NewRows(Closed):
    """Asks when so many labelled rows are new since the last training."""

    rule: Literal["new_rows"]
    at_least: Count


class Own(Closed):
    """Asks what a function of your own in `plugins/` says."""

    rule: Literal["own"]
    function: Annotated[str, Field(min_length=1)]
    """`module:function`, or an entry point of `keepfit.policies`."""
    params: dict[str, str | int | float | bool] = Field(default_factory=dict)


class MofN(Closed):
    """Asks when a rule asks in `m` of the last `n` windows, the newest among them."""

    rule: Literal["m_of_n"]
    m: Windows
    n: Windows
    of: "Rule"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.m > self.n:
            raise ValueError(f"`m` is {self.m} and `n` is {self.n}: `m` must be the smaller, or equal")
        return self


class AllOf(Closed):
    """Asks when all of its rules ask."""

    rule: Literal["all"]
    of: Annotated[tuple["Rule", ...], Field(min_length=1)]


class AnyOf(Closed):
    """Asks when one of its rules asks."""

    rule: Literal["any"]
    of: Annotated[tuple["Rule", ...], Field(min_length=1)]


Rule = Annotated[
    Union[  # noqa: UP007 - the members refer to the union itself
        Calendar,
        DriftShare,
        Performance,
        PredictionDrift,
        WeightedDrift,
        Regret,
        Upf,
        NewRows,
        Own,
        MofN,
        AllOf,
        AnyOf,
    ],
    Field(discriminator="rule"),
]
for _combined in (MofN, AllOf, AnyOf):
    _combined.model_rebuild()  # Their fields name the union above, and what reads errors looks it up there.

_DEFAULT: tuple[Any, ...] = (
    Performance(rule="performance"),
    Calendar(rule="calendar", every=timedelta(days=91)),
)


class PolicySpec(Closed):
    """When a model is trained again: one of the rules asks, and nothing holds it back."""

    rules: tuple[Rule, ...] = _DEFAULT
    """None: it is trained by hand and by `train.calendar` only."""
    cooldown: Duration = timedelta(days=7)
    """No two trainings by signal within this stretch of data time."""
    budget: Count | None = None
    """How many trainings by signal at most within `budget_period`."""
    budget_period: PositiveDuration = timedelta(days=90)
    max_refused: Count | None = 3
    """After so many refused challengers in a row none is started for `rest`. What a calendar asked for does
    not count against a signal."""
    rest: PositiveDuration = timedelta(days=90)
    because: str = ""
    """Why this policy, such as the replay that chose it; said with each decision."""

    @property
    def may_need_challenger(self) -> bool:
        """Tell whether a verdict may hang on how a fresh challenger does."""
        return self.asks(*BY_REGRET, *BY_DRIFT)

    def asks(self, *rules: str) -> bool:
        """Tell whether one of these rules takes part, however deep."""
        return any(rule.rule in rules for _, rule in self.parts())

    def parts(self) -> Iterator[tuple[str, Rule]]:
        """Yield each rule, however deep, after its place in the model's file."""
        for index, rule in enumerate(self.rules):
            yield from _parts(f"policy.rules[{index}]", rule)


def _parts(place: str, rule: Rule) -> Iterator[tuple[str, Rule]]:
    yield place, rule
    if isinstance(rule, MofN):
        yield from _parts(f"{place}.of", rule.of)
    elif isinstance(rule, AllOf | AnyOf):
        for index, each in enumerate(rule.of):
            yield from _parts(f"{place}.of[{index}]", each)
