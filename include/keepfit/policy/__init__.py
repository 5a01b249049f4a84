"""When to train again: pure functions from signals and history to a verdict with its reason.

Belongs here: rules and their words, and replay over what was measured, with the standard library alone. The
live loop and replay call the same functions. Does not belong here: measuring a signal (`steps`), or
remembering a verdict (`ledger`).
"""

from keepfit.policy.choose import Ranking, Tried, rank
from keepfit.policy.common_cause import Columns, Origin, Suspicion, common_causes, suspects
from keepfit.policy.decide import decide, faults, needs_challenger, policy_version
from keepfit.policy.findings import Finding, Policy, Seen
from keepfit.policy.history import refused_in_a_row
from keepfit.policy.matrix import Cell, Matrix
from keepfit.policy.oracle import Schedule, frontier, oracle
from keepfit.policy.own import own_policy
from keepfit.policy.replay import Step, Walk, walk
from keepfit.policy.signals import (
    Champion,
    CommonCause,
    DriftSignal,
    FleetLimit,
    History,
    MissingChange,
    PerformanceSignal,
    RegretSignal,
    Score,
    Signals,
    Verdict,
)

__all__ = [
    "Cell",
    "Champion",
    "Columns",
    "CommonCause",
    "DriftSignal",
    "Finding",
    "FleetLimit",
    "History",
    "Matrix",
    "MissingChange",
    "Origin",
    "PerformanceSignal",
    "Policy",
    "Ranking",
    "RegretSignal",
    "Schedule",
    "Score",
    "Seen",
    "Signals",
    "Step",
    "Suspicion",
    "Tried",
    "Verdict",
    "Walk",
    "common_causes",
    "decide",
    "faults",
    "frontier",
    "needs_challenger",
    "oracle",
    "own_policy",
    "policy_version",
    "rank",
    "refused_in_a_row",
    "suspects",
    "walk",
]
