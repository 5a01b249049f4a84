"""What a replay is asked for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from keepfit.errors import ConfError
from keepfit.spec.fields import Duration, PositiveDuration, duration_text
from keepfit.spec.model import ModelSpec, SeasonSpec
from keepfit.spec.window import parse_moment

EVERY = "7d"
SPLIT = 0.5
EXPANDING = "expanding"


@dataclass(frozen=True)
class ReplaySettings:
    """A trigger's scalars, read."""

    start: datetime | None
    """The start of the first window; as early as a model can be trained when not given."""
    end: datetime | None
    """The end of the last window; that of the published rows when not given."""
    every: timedelta
    label_delay: timedelta | None
    cost: float
    """Of one training, in units of the objective summed over windows."""
    kinds: tuple[str, ...]
    """Which rows a training takes, one matrix each, besides what the model's file says."""
    split: float
    """The share of the windows that chooses the policy; the rest reports."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """Read a trigger's settings.

        Raises:
            ConfError: One is no duration, moment or number, or out of range.
        """
        start, end = (_moment(given, name) for name in ("from", "to"))
        if start and end and start >= end:
            raise ConfError(
                f"A replay from {start.isoformat()} to {end.isoformat()} has no window: `from` must be the "
                "earlier. Swap or correct the two."
            )
        delay = given.get("label_delay")
        return cls(
            start=start,
            end=end,
            every=_duration(given.get("every") or EVERY, "every", PositiveDuration),
            label_delay=None if delay in (None, "") else _duration(delay, "label_delay", Duration),
            cost=_cost(given.get("cost")),
            kinds=_kinds(given.get("windows")),
            split=_split(given.get("split")),
        )

    def models(self, spec: ModelSpec) -> dict[str, ModelSpec]:
        """Return the model as each kind of window trains it, by kind; its own kind is the first.

        Raises:
            ConfError: Its file could not say so.
        """
        kinds = dict.fromkeys((kind_of(spec), *self.kinds))
        return {kind: _trained_on(self.delayed(spec), kind) for kind in kinds}

    def delayed(self, spec: ModelSpec) -> ModelSpec:
        """Return the model with labels as late as asked for."""
        if self.label_delay is None:
            return spec
        return spec.model_copy(update={"label": spec.label.model_copy(update={"delay": self.label_delay})})


def kind_of(spec: ModelSpec) -> str:
    """Name which rows a model's training takes."""
    length, season = spec.train.length, spec.train.season
    if season:
        return f"season:{duration_text(season.period)}/{duration_text(season.around)}"
    return f"trailing:{duration_text(length)}" if length else EXPANDING


def rows_of(kind: str) -> dict[str, Any]:
    """Return the fields of `train` that take the rows of a kind, as one writes them.

    Raises:
        ConfError: It names no rows to train on.
    """
    name, _, given = kind.partition(":")
    if kind == EXPANDING:
        return {"length": None, "season": None}
    if name == "trailing":
        return {"length": given, "season": None}
    if name == "season" and "/" in given:
        period, _, around = given.partition("/")
        return {"length": None, "season": {"period": period, "around": around}}
    raise ConfError(
        f"`windows` has {kind!r}, which names no rows to train on. There are: expanding; trailing: with a "
        "length, such as trailing:91d; season: with a period and what is taken around, such as "
        "season:365d/45d. More than one with commas between them."
    )


def on_all_history(spec: ModelSpec) -> ModelSpec:
    """Return the model with every row of its history to train on."""
    return _trained_on(spec, EXPANDING)


def _trained_on(spec: ModelSpec, kind: str) -> ModelSpec:
    """Return the model with a kind of rows, if its file could say the same."""
    try:
        return ModelSpec.model_validate(
            spec.model_dump() | {"train": spec.train.model_copy(update=_rows(kind)).model_dump()}
        )
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        delay = duration_text(spec.label.delay)
        raise ConfError(f"With {kind!r} and a label delay of {delay} nothing is replayed: {said}.") from None


def _rows(kind: str) -> dict[str, Any]:
    """Read the fields of `train` that take the rows of a kind."""
    written = rows_of(kind)
    try:
        return {
            "length": TypeAdapter[Any](PositiveDuration | None).validate_python(written["length"]),
            "season": TypeAdapter[Any](SeasonSpec | None).validate_python(written["season"]),
        }
    except ValidationError as error:
        raise ConfError(f"`windows` has {kind!r}: {error.errors()[0]['msg']}") from None


def _kinds(given: object) -> tuple[str, ...]:
    if given in (None, ""):
        return ()
    kinds = tuple(dict.fromkeys(part.strip() for part in str(given).split(",")))
    for kind in kinds:
        _rows(kind)
    return kinds


def _cost(given: object) -> float:
    what = "what one training costs, in units of the objective summed over windows"
    if given is None:
        raise ConfError(f"`cost` is not given: say {what}, such as 0.01. It must be greater than 0.")
    cost = _number(given, "cost")
    if not cost > 0:
        raise ConfError(
            f"`cost` is {cost:g}: {what}, must be greater than 0. If training costs nothing, train always."
        )
    if math.isinf(cost):
        raise ConfError(f"`cost` is {cost:g}: {what}, must be a number. If it is beyond all, never train.")
    return cost


def _split(given: object) -> float:
    split = SPLIT if given is None else _number(given, "split")
    if not 0 < split < 1:
        raise ConfError(
            f"`split` is {split:g}: the share of the windows that chooses lies between 0 and 1, such as 0.5."
        )
    return split


def _number(given: object, name: str) -> float:
    try:
        return TypeAdapter(float).validate_python(given, strict=False)
    except ValidationError:
        raise ConfError(f"`{name}` is {given!r}, which is no number. Write it like 0.01.") from None


def _moment(given: Mapping[str, Any], name: str) -> datetime | None:
    text = given.get(name)
    return parse_moment(str(text), f"`{name}`") if text else None


def _duration(text: object, name: str, kind: Any) -> timedelta:
    try:
        found: timedelta = TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        raise ConfError(f"`{name}` is {text!r}: {error.errors()[0]['msg']}") from None
    return found
