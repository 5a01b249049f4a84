"""Plots as SVG for a page that loads nothing. The door to matplotlib.

Colours are those of Okabe and Ito, which colour-blind people can tell apart; shapes say the same again.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLACK, ORANGE, SKY, GREEN = "#222222", "#e69f00", "#56b4e9", "#009e73"
BLUE, RED, PURPLE, GREY = "#0072b2", "#d55e00", "#cc79a7", "#8a8a8a"
_MANY_CELLS = 24
"""A matrix with more lines than this is drawn as a picture, not cell by cell."""
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "keepfit",
    "font.size": 10,
    "font.family": "sans-serif",
    "text.parse_math": False,
}
_NEAR = 0.06
"""Labels nearer than this share of the plot would cover each other."""


@dataclass(frozen=True)
class Marks:
    """Points of one kind."""

    name: str
    x: Sequence[Any]
    y: Sequence[Any]
    colour: str
    marker: str = "o"
    labels: Sequence[str] = ()
    size: float = 45
    filled: bool = True


@dataclass(frozen=True)
class Curve:
    """Points joined in order; `steps` keeps each value until the next."""

    name: str
    x: Sequence[Any]
    y: Sequence[float]
    colour: str
    style: str = "-"
    width: float = 1.8
    steps: bool = False


@dataclass(frozen=True)
class Grid:
    """Values by line and column; None stays white."""

    values: Sequence[Sequence[float | None]]
    name: str
    colours: str = "cividis"
    around: float | None = None
    """The value in the middle of the colours."""


@dataclass(frozen=True)
class Panel:
    """One plot."""

    title: str
    x: str
    y: str
    marks: Sequence[Marks] = ()
    curves: Sequence[Curve] = ()
    grid: Grid | None = None
    lanes: Sequence[str] = ()
    """Names of the lines 0, 1, ... from the top, instead of numbers."""
    breaks: Sequence[datetime] = ()
    """Where something begins anew."""
    limits: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


def draw(panels: Sequence[Panel], told: str, *, height: float = 4.0, width: float = 11.0) -> str:
    """Draw panels beside each other, and return an `svg` element that names no address.

    Args:
        panels: What to draw.
        told: What it shows, for those who do not see it.
        height: In inches.
        width: In inches.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        for place, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _panel(place, panel)
        if named := dict(_legend(figure.axes)):
            figure.legend(
                named.values(),
                named.keys(),
                loc="outside lower center",
                ncols=min(6, len(named)),
                frameon=False,
            )
        made = io.StringIO()
        figure.savefig(made, format="svg", metadata={"Date": None}, dpi=200)
    return _bare(made.getvalue(), told)


def _legend(places: Sequence["Axes"]) -> list[tuple[str, Any]]:
    both = (place.get_legend_handles_labels() for place in places)
    return [(name, mark) for marks, names in both for mark, name in zip(marks, names, strict=True)]


def _panel(place: "Axes", panel: Panel) -> None:
    place.set_title(panel.title, fontsize=11, loc="left")
    place.set_xlabel(panel.x)
    place.set_ylabel(panel.y)
    place.spines[["top", "right"]].set_visible(False)
    for at in panel.breaks:
        place.axvline(at, color=GREY, linewidth=1, linestyle=":")  # type: ignore[arg-type]
    for curve in panel.curves:
        how = "steps-post" if curve.steps else "default"
        place.plot(
            curve.x, curve.y, curve.style, color=curve.colour, lw=curve.width, label=curve.name, drawstyle=how
        )
    for marks in panel.marks:
        place.scatter(
            marks.x,
            marks.y,
            s=marks.size,
            marker=marks.marker,
            label=marks.name,
            zorder=3,
            **_paint(marks),
        )
    if panel.grid:
        _grid(place, panel.grid)
    elif panel.lanes:
        place.set_yticks(range(len(panel.lanes)), panel.lanes)
        place.set_ylim(len(panel.lanes) - 0.5, -0.5)
        place.grid(axis="y", color="#eeeeee")
        place.set_axisbelow(True)
    else:
        place.grid(color="#eeeeee")
        place.set_axisbelow(True)
    place.set(**{f"{axis}lim": both for axis, both in panel.limits.items()})
    _dates(place, panel)
    _label(place, panel.marks)


def _paint(marks: Marks) -> dict[str, Any]:
    if marks.marker == "x":
        return {"color": marks.colour}
    return {"facecolor": marks.colour if marks.filled else "white", "edgecolor": marks.colour}


def _dates(place: "Axes", panel: Panel) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    some: tuple[Marks | Curve, ...] = (*panel.marks, *panel.curves)
    drawn = [x for each in some for x in each.x]
    if drawn and isinstance(drawn[0], datetime):
        where = AutoDateLocator(minticks=4, maxticks=9)
        place.xaxis.set_major_locator(where)
        place.xaxis.set_major_formatter(ConciseDateFormatter(where))


def _label(place: "Axes", marks: Sequence[Marks]) -> None:
    """Write labels beside their points, but none over another: the first ones win."""
    taken: list[tuple[float, float]] = []
    for each in marks:
        for x, y, text in zip(each.x, each.y, each.labels, strict=False):
            across, up = place.transAxes.inverted().transform(place.transData.transform((x, y)))
            if all(abs(up - other[1]) > _NEAR or abs(across - other[0]) > 4 * _NEAR for other in taken):
                taken.append((across, up))
                place.annotate(text, (x, y), (6, 4), textcoords="offset points", fontsize=9)


def _grid(place: "Axes", grid: Grid) -> None:
    import numpy as np
    from matplotlib.colors import CenteredNorm

    values = np.array([[np.nan if each is None else each for each in line] for line in grid.values], float)
    norm = None if grid.around is None else CenteredNorm(grid.around)
    many = len(values) > _MANY_CELLS
    drawn = place.pcolormesh(values, cmap=grid.colours, norm=norm, rasterized=many, edgecolors="none")
    place.invert_yaxis()
    place.set_aspect("equal")
    place.figure.colorbar(drawn, ax=place, label=grid.name, shrink=0.8)


def _bare(svg: str, told: str) -> str:
    """Take away the prologue and the metadata, which name addresses, and say what it shows."""
    inner = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    inner = re.sub(r' xmlns(:\w+)?="[^"]*"', "", inner).replace("xlink:href", "href")
    return inner.replace("<svg", f'<svg role="img" aria-label="{escape(told)}"', 1)
