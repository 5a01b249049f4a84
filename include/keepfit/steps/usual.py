"""How much a share moves by itself, by the windows it was seen in."""

from collections.abc import Sequence
from math import sqrt

ENOUGH = 3
"""With fewer windows before, only what is far out is called a fault."""
_UNKNOWN = 0.3
"""How far a share may rise while nobody knows how much it moves."""


def beyond(now: float, shares: Sequence[float], least: float, rows: float) -> bool:
    """Tell whether a share rose beyond what it ever did, beyond its own ups and downs, and beyond chance."""
    high = max(shares)
    least = least if len(shares) > ENOUGH else _UNKNOWN
    chance = 5 * sqrt(high * (1 - high) / rows) if rows else 1.0
    return now - high > max(least, 2 * (high - min(shares)), chance)
