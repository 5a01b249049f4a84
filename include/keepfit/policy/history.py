"""What trainings leave behind for later decisions; the live loop and replay count the same way."""

from collections.abc import Iterable
from datetime import datetime

_NO_SIGNALS = frozenset({"", "calendar", "new_rows", "feature_change"})
"""What asks whether or not the champion does worse. The empty text stands for a training by hand."""


def is_signal(trigger: str) -> bool:
    """Tell whether what asked for a training had seen something that speaks against the champion."""
    return trigger not in _NO_SIGNALS


def refused_in_a_row(
    judged: Iterable[tuple[datetime, bool, str]], end: datetime
) -> tuple[tuple[datetime, str], ...]:
    """Return up to when the last refused trainings knew the data, back to the last that the gate let pass.

    Args:
        judged: Of each training up to when it knew the data, whether the gate let it pass, and what asked.
        end: What knew more than was known then has not happened yet.

    Returns:
        The times, oldest first, each with what asked.
    """
    # Of two that knew the same, the one that passed counts as the later, however they are listed.
    known = sorted(each for each in judged if each[0] <= end)
    passed = max((at for at, each in enumerate(known, 1) if each[1]), default=0)
    return tuple((as_of, trigger) for as_of, _, trigger in known[passed:])
