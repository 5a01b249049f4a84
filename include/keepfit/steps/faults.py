"""Tell broken data from a shift in the world, by a window's sketches and those of the time before.

A fault is what the windows before never did, by a margin that they themselves give: a column whose share of
missing values goes up and down may do so again. Storms, holidays and seasons move columns and break none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.steps.alike_rows import ALIKE
from keepfit.steps.column import Column, column
from keepfit.steps.jumps import jumped
from keepfit.steps.loads import alike, repeated_rows
from keepfit.steps.units import unit_change
from keepfit.steps.usual import beyond

if TYPE_CHECKING:
    from keepfit.backends.sketches import Sketch
    from keepfit.steps.calibration import Calibration

BEFORE = 8
"""So many windows before say what is usual; more add little, and a season changes meanwhile."""
_MISSING, _STUCK, _OUTSIDE = 0.05, 0.2, 0.5
FEWEST = 100
"""With fewer values nothing is said of a column, but that it is gone."""
Former = Sequence[Column]
"""The reference, then the windows before, oldest first."""


@dataclass(frozen=True)
class Faults:
    """What is wrong with a window."""

    broken: tuple[str, ...] = ()
    """What no shift in the world explains, in words with numbers."""
    jumped: tuple[str, ...] = ()
    """Columns that moved from the window before as no two windows before did."""


def find_faults(
    reference: "Mapping[str, Sketch]",
    before: "Sequence[Mapping[str, Sketch]]",
    current: "Mapping[str, Sketch]",
    calibration: "Calibration | None" = None,
) -> Faults:
    """Look for broken columns, and for columns that jumped, in a window.

    Args:
        reference: What the champion was trained on, by feature. Only these columns are looked at.
        before: The windows before, oldest first; those that were broken should be left out.
        current: The window. Where it and those before have `ALIKE`, too, rows loaded twice in part are found.
        calibration: How far columns go from one quiet window to the next; without it the windows before say.
    """
    broken = []
    for name, sketch in reference.items():
        if name == ALIKE:
            continue
        if name not in current:
            broken.append(f"{name} is not among the predictions")
            continue
        former = [column(sketch), *(column(each[name]) for each in before if name in each)]
        former = [each for each in former if each.rows]
        found = _first(former, column(current[name])) if former else None
        broken += [f"{name} {found}"] if found else []
    features = [name for name in reference if name != ALIKE]
    loads = [{name: each[name] for name in features if name in each} for each in (*before, current)]
    broken += list(repeated_rows(loads[:-1], loads[-1])) or list(alike(before, current))
    return Faults(tuple(broken), tuple(jumped(before, current, features, calibration)))


def each_once(*said: Iterable[str]) -> tuple[str, ...]:
    """Return one fault of each column, which is the first word."""
    return tuple({each.partition(" ")[0]: each for group in reversed(said) for each in group}.values())


def _first(former: Former, current: Column) -> str | None:
    """Say what is wrong with a column: the plainest fault explains the others."""
    return next((said for rule in _RULES if (said := rule(former, current))), None)


def _text(former: Former, current: Column) -> str | None:
    if former[0].sketch.kind != "number":
        return None
    strange = current.sketch.strange or min(
        (each for each in current.texts if not _is_number(each)), default=""
    )
    return f"was a number and holds {strange!r}" if strange else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _missing(former: Former, current: Column) -> str | None:
    shares = [each.missing for each in former]
    if not beyond(current.missing, shares, _MISSING, current.rows):
        return None
    return (
        f"is missing in {current.missing:.0%} of the rows, in no window before in more than {max(shares):.0%}"
    )


def _stuck(former: Former, current: Column) -> str | None:
    # Where windows are days, a weekday never varies within one: the reference alone says nothing.
    windows = [each for each in former[1:] if each.present >= FEWEST]
    if current.present < FEWEST or not windows:
        return None
    shares = [each.top_share for each in (former[0], *windows)]
    if not beyond(current.top_share, shares, _STUCK, current.rows):
        return None
    return (
        f"is stuck: {current.top} in {current.top_share:.0%} of the rows, "
        f"while no value was in more than {max(shares):.0%} of a window before"
    )


def _unit(former: Former, current: Column) -> str | None:
    if current.shape is None:
        return None
    return unit_change([each.shape for each in former if each.shape is not None], current.shape)


def _beyond_range(former: Former, current: Column) -> str | None:
    """Find values that were never there, unless the column brings new ones each time, as a date does."""
    if current.present < FEWEST or not former[1:]:
        return None
    usual = max(each.unseen(former[:at]) for at, each in enumerate(former) if at)
    now = current.unseen(former)
    if now - usual < _OUTSIDE:
        return None
    return f"holds what was never there before in {now:.0%} of its values: {current.span}"


_RULES: tuple[Callable[[Former, Column], str | None], ...] = (_text, _missing, _unit, _beyond_range, _stuck)
