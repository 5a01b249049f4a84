"""How the gate writes its figures."""

_LARGE = 1000


def figure(value: float) -> str:
    """Write a metric's value."""
    return f"{value:.4f}" if abs(value) < _LARGE else f"{value:,.1f}"


def signed(value: float) -> str:
    """Write a difference, or the end of its interval."""
    return f"{value:+.4f}" if abs(value) < _LARGE else f"{value:+,.1f}"
