"""How numbers are said in reasons."""

from datetime import timedelta


def days(span: timedelta) -> str:
    """Write a duration in days, or in hours where it is shorter than two days."""
    if span < timedelta(days=2) and span % timedelta(days=1):
        return f"{span / timedelta(hours=1):.3g} h"
    return f"{span / timedelta(days=1):.3g} d"


def percent(share: float) -> str:
    """Write a share in per cent."""
    return f"{100 * share:.3g} %"
