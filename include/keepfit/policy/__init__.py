"""When to train again: pure functions from signals and history to a verdict with its reason.

Belongs here: rules and their words, with the standard library alone. Does not belong here:
measuring a signal (`steps`), or remembering a verdict (`ledger`).
"""

from keepfit.policy.decide import decide, policy_version
from keepfit.policy.signals import (
    Champion,
    DriftSignal,
    History,
    MissingChange,
    PerformanceSignal,
    Signals,
    Verdict,
)

__all__ = [
    "Champion",
    "DriftSignal",
    "History",
    "MissingChange",
    "PerformanceSignal",
    "Signals",
    "Verdict",
    "decide",
    "policy_version",
]
