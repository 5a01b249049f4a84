"""The example's own metric."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MISSED_LATE = 5.0
"""What a late flight costs that nobody was warned of."""
FALSE_ALARM = 1.0
"""What a warning costs whose flight is on time."""


def missed_late_cost(y_true: "NDArray[np.float64]", score: "NDArray[np.float64]") -> float:
    """Return the mean cost of a flight when travellers are warned wherever that is the cheaper bet.

    A warning pays from a probability of `FALSE_ALARM / (FALSE_ALARM + MISSED_LATE)` on, so this
    rewards probabilities that can be believed, not only a good order.
    """
    warned = score >= FALSE_ALARM / (FALSE_ALARM + MISSED_LATE)
    missed = (~warned) & (y_true == 1)
    alarmed = warned & (y_true == 0)
    return float((MISSED_LATE * missed + FALSE_ALARM * alarmed).mean())
