"""What one rule says of a window."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal, Protocol, TypeGuard

from keepfit.policy.signals import Signals

Seen = Sequence[Signals]
"""The champion's windows so far, oldest first; the last is the one to decide about."""
Sight = Literal["harm", "shift", "clock"]


@dataclass(frozen=True)
class Finding:
    """What one rule says: `fires` is None where the data does not allow an answer."""

    trigger: str
    fires: bool | None
    text: str
    sees: Sight = "harm"
    """What the rule looks at: what the champion's age costs; a shift, harmful or not; or neither, but time
    and rows that pass whatever the model does."""


class Policy(Protocol):
    """Says of the champion's windows whether the last one calls for a training.

    The same windows get the same answer every time: the live loop and replay both ask. What it cannot know it
    answers with None, which is neither yes nor no.
    """

    def __call__(self, seen: Seen) -> Finding:
        """Judge the last window."""


def is_known(value: float | None) -> TypeGuard[float]:
    """Tell whether a number was measured, and is one."""
    return value is not None and isfinite(value)


def unknown(trigger: str, what: str, reason: str, sees: Sight = "harm") -> Finding:
    """Say that something could not be judged, and why."""
    return Finding(trigger, None, f"{what}: {reason or 'it is not a finite number'}", sees)
