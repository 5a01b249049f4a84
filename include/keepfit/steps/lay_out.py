"""Lay a history out in windows, with a cut before each at which a model can be trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import pandas as pd

from keepfit.errors import ConfError, KeepfitError, TrainingError
from keepfit.policy import parts
from keepfit.spec import ModelSpec, Window
from keepfit.spec.fields import duration_text
from keepfit.steps.split import split_by_time
from keepfit.steps.train import refuse_unusable

FEWEST = 2 * parts.FEWEST
"""Windows to choose a policy by, and as many to report it on."""
MOST = 1000
"""So many models are trained and held against each other; more is a slip of the pen."""
Known = Callable[[datetime], pd.DataFrame]
"""Gives `event_time` and `label` of the rows that a training as of a moment would take."""


@dataclass(frozen=True)
class Layout:
    """The windows of a replay. Cut `i` is the start of window `i`; the models are trained at the cuts."""

    windows: tuple[Window, ...]
    kinds: tuple[str, ...]
    as_of: datetime
    """Labels known by then are the truth."""

    @property
    def cuts(self) -> tuple[tuple[str, int], ...]:
        """Return what is to be trained: kind and cut."""
        return tuple((kind, cut) for kind in self.kinds for cut in range(len(self.windows)))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON; `of_json` reads it back."""
        return {
            "windows": [window.key for window in self.windows],
            "kinds": list(self.kinds),
            "as_of": self.as_of.isoformat(),
        }

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        windows = tuple(map(Window.of_key, stored["windows"]))
        return cls(windows, tuple(stored["kinds"]), datetime.fromisoformat(stored["as_of"]))


def lay_windows(
    spec: ModelSpec,
    known: Known,
    *,
    first_row: datetime,
    start: datetime | None,
    end: datetime,
    every: timedelta,
) -> tuple[Window, ...]:
    """Lay windows side by side: from `start` on, or back from `end` as long as a model can be trained.

    Args:
        spec: The model.
        known: Gives the rows known at a moment.
        first_row: The first row's event time.
        start: The start of the first window.
        end: No window ends later.
        every: The windows' length.

    Raises:
        ConfError: There are more than a thousand.
        TrainingError: There are too few windows at whose start a model can be trained.
    """
    _refuse_too_many(end - (start or first_row), every)
    windows = _from(start, end, every) if start else _back_from(end, first_row, every)
    why = ""
    for at, window in enumerate(windows):
        if not (why := _why_untrained(spec, known, window.start)):
            if len(windows) - at >= FEWEST:
                return windows[at:]
            break
        if start:
            break
    raise TrainingError(_too_short(spec, windows, every, why, first_row=first_row, end=end))


def refuse_untrained(kind: str, spec: ModelSpec, known: Known, first: datetime) -> None:
    """Refuse a kind of rows of which no model can be trained at the first cut, before any is trained.

    Raises:
        ConfError: It cannot.
    """
    if why := _why_untrained(spec, known, first):
        raise ConfError(
            f"`windows` has {kind!r}, of which no model can be trained at the first cut, "
            f"{first.isoformat()}: {why} Let it take more rows, or begin later with `from`."
        )


def _refuse_too_many(length: timedelta, every: timedelta) -> None:
    if (count := length // every) > MOST:
        raise ConfError(
            f"{count:,} windows of {duration_text(every)} are more than the {MOST:,} that a replay takes. "
            "Choose a longer `every`, or a later `from`."
        )


def _from(start: datetime, end: datetime, every: timedelta) -> tuple[Window, ...]:
    count = max(0, (end - start) // every)
    return tuple(Window(start + number * every, start + (number + 1) * every) for number in range(count))


def _back_from(end: datetime, first_row: datetime, every: timedelta) -> tuple[Window, ...]:
    count = max(0, (end - first_row) // every)
    return _from(end - count * every, end, every)


def _why_untrained(spec: ModelSpec, known: Known, cut: datetime) -> str:
    """Say why no model can be trained at a cut; nothing if one can."""
    try:
        rows = known(cut)
        refuse_unusable(split_by_time(rows, spec.train.holdout, spec.label.delay).train, spec)
    except KeepfitError as error:
        return str(error)
    return ""


def _too_short(
    spec: ModelSpec,
    windows: Sequence[Window],
    every: timedelta,
    why: str,
    *,
    first_row: datetime,
    end: datetime,
) -> str:
    need = (
        f"A replay needs {FEWEST} windows of {duration_text(every)} at whose start a model can be trained, "
        f"after a holdout of {duration_text(spec.train.holdout)} and a label delay of "
        f"{duration_text(spec.label.delay)}"
    )
    there = f"there are rows from {first_row.isoformat()} to {end.isoformat()}"
    at = f" At {windows[0].start.isoformat()}: {why}" if windows and why else ""
    return (
        f"The history of {spec.name!r} is too short to replay: {there}. {need}.{at} Publish more history, "
        "begin or end at another time, or replay with shorter windows."
    )
