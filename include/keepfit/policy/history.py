"""What trainings leave behind for later decisions; the live loop and replay count the same way."""

from collections.abc import Iterable
from datetime import datetime


def refused_in_a_row(judged: Iterable[tuple[datetime, bool]], end: datetime) -> tuple[datetime, ...]:
    """Return up to when the last refused trainings knew the data, back to the last that the gate let pass.

    Args:
        judged: Of each training up to when it knew the data, and whether the gate let it pass.
        end: What knew more than was known then has not happened yet.
    """
    # Of two that knew the same, the one that passed counts as the later, however they are listed.
    known = sorted(each for each in judged if each[0] <= end)
    passed = max((at for at, each in enumerate(known, 1) if each[1]), default=0)
    return tuple(as_of for as_of, _ in known[passed:])
