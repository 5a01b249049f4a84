"""Tell a change of unit from a shift in the world: turned back, the numbers are the former ones."""

from collections.abc import Mapping, Sequence

from keepfit.steps.shape import Shape, all_values

_SCALES = (
    ("multiplied by 1,000", "divided by 1,000", 1000.0),
    ("multiplied by 100", "divided by 100", 100.0),
    ("multiplied by 10", "divided by 10", 10.0),
    ("doubled", "halved", 2.0),
)
_UNITS = (
    ("days", "hours", 24.0),
    ("hours", "minutes", 60.0),
    ("hours", "seconds", 3600.0),
    ("miles", "kilometres", 1.609344),
    ("nautical miles", "kilometres", 1.852),
    ("nautical miles", "miles", 1.852 / 1.609344),
    ("metres", "feet", 1 / 0.3048),
    ("inches", "centimetres", 2.54),
    ("inches", "millimetres", 25.4),
    ("kilograms", "pounds", 1 / 0.45359237),
    ("ounces", "grams", 28.349523125),
    ("metres per second", "kilometres per hour", 3.6),
    ("metres per second", "miles per hour", 3.6 / 1.609344),
    ("metres per second", "knots", 3.6 / 1.852),
    ("inches of mercury", "hectopascals", 33.8638866667),
)
CONVERSIONS: Mapping[str, tuple[float, float]] = {
    **{up: (factor, 0.0) for up, _, factor in _SCALES},
    **{down: (1 / factor, 0.0) for _, down, factor in _SCALES},
    **{f"converted from {one} to {other}": (factor, 0.0) for one, other, factor in _UNITS},
    **{f"converted from {other} to {one}": (1 / factor, 0.0) for one, other, factor in _UNITS},
    "converted from Fahrenheit to Celsius": (5 / 9, -160 / 9),
    "converted from Celsius to Fahrenheit": (9 / 5, 32.0),
    "converted from Celsius to Kelvin": (1.0, 273.15),
    "converted from Kelvin to Celsius": (1.0, -273.15),
    "converted from Fahrenheit to Kelvin": (5 / 9, -160 / 9 + 273.15),
    "given the other sign": (-1.0, 0.0),
}
"""What is looked for: a factor and what is added, by the words for it."""
EXACT = 4096
"""Columns with more values than this are not looked up value by value."""
_KNOWN = 0.7
"""A column of which so many values are known from before brings hardly any new ones."""
_FEW_KNOWN = 1 / 3
"""No more of what is usually known may be known after a conversion."""
_NEAR = 0.05
"""In spreads: windows are never nearer to each other than this, for what is usual."""
_LARGE, _SMALL = 5.0, 8.0
"""From this factor on a scale is beyond any season's; below it, this many times the usual distance is."""


def unit_change(former: Sequence[Shape], current: Shape) -> str | None:
    """Say which conversion a column went through; None where none explains it.

    Args:
        former: The reference, then the windows before. The usual distance is learnt from these.
        current: The window.
    """
    if not former[1:] or not current.rows:
        return None
    return _by_values(former, current) or _by_quantiles(former, current)


def _by_values(former: Sequence[Shape], current: Shape) -> str | None:
    """Look single values up: after a conversion hardly one is known, and turned back nearly all are."""
    if max(len(each.values) for each in (*former, current)) > EXACT:
        return None
    values = all_values(former)
    now = current.known(values)
    if now > _FEW_KNOWN:
        return None
    usual = min(each.known(all_values(_without(former, each))) for each in former[1:])
    if usual < _KNOWN or now > usual * _FEW_KNOWN:
        return None
    back = {said: current.image(*_back(how)).known(values) for said, how in CONVERSIONS.items()}
    best = max(back, key=lambda said: back[said])
    if back[best] < 0.8 * usual:
        return None
    return f"looks {best}: {now:.0%} of its values were there before, {back[best]:.0%} once it is undone"


def _by_quantiles(former: Sequence[Shape], current: Shape) -> str | None:
    """Hold quantiles against the former ones: far off as no window was, and turned back among them."""
    now = current.away(former)
    if now is None or now <= 2 * _NEAR:
        return None
    distances = [each.away(_without(former, each)) for each in former]
    usual = max((each for each in distances if each is not None), default=None)
    if usual is None or now <= 2 * max(usual, _NEAR):
        return None
    usual = max(usual, _NEAR)
    fitting = {}
    for said, (factor, offset) in CONVERSIONS.items():
        beyond = max(factor, 1 / abs(factor)) >= _LARGE or now > _SMALL * usual
        left = current.image(*_back((factor, offset))).away(former) if beyond else None
        if left is not None and left <= usual and left < now / 4:
            fitting[said] = left
    if not fitting:
        return None
    best = min(fitting, key=lambda said: fitting[said])
    return (
        f"looks {best}: it is {now:.3g} spreads from any window before (usual: up to {usual:.2g}), "
        f"{fitting[best]:.2g} once it is undone"
    )


def _without(shapes: Sequence[Shape], one: Shape) -> list[Shape]:
    return [each for each in shapes if each is not one]


def _back(how: tuple[float, float]) -> tuple[float, float]:
    factor, offset = how
    return 1 / factor, -offset / factor
