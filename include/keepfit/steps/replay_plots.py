"""Draw what a replay found."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import accumulate

from keepfit.backends.plots import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    Curve,
    Grid,
    Marks,
    Panel,
    draw,
)
from keepfit.policy import Matrix, Step, Tried, frontier
from keepfit.policy.parts import Part
from keepfit.steps.choose_policy import Choice

_LABELS = 24
"""Letters of a name that a plot has room for."""


def plots(choice: Choice) -> dict[str, str]:
    """Return the plots of the report as elements of a page, by name."""
    return {
        "frontier": _frontier(choice),
        "regret": _regret(choice),
        "lanes": _lanes(choice),
        "heat": _heat(choice),
    }


def _frontier(choice: Choice) -> str:
    names = ("chosen on", "reported on")
    panels = [_quality(choice, at, name) for at, name in enumerate(names)]
    return draw(panels, "Mean loss of each policy by the number of its trainings, on both parts.", height=4.6)


def _quality(choice: Choice, at: int, name: str) -> Panel:
    found, part = choice.ranking, choice.parts[at]

    def marks(title: str, some: Sequence[Tried], colour: str, marker: str, size: float) -> Marks:
        walks = [each.walks[at] for each in some]
        return Marks(
            title if at == 0 else "_nolegend_",
            [each.trainings for each in walks],
            [each.mean_loss for each in walks],
            colour,
            marker,
            [_short(each) for each in some] if marker != "." else (),
            size,
        )

    calendars = [each for each in found.fixed if "drift" not in each.candidate.name]
    special = {*map(id, found.fixed), id(found.winner), id(found.present)}
    rest = [each for each in found.tried if id(each) not in special]
    most = max(each.walks[at].trainings for each in found.tried)
    best = [
        min(each) / part.counted
        for each in zip(
            *(_padded(frontier(each, most, part.first, part.last), most) for each in choice.matrices),
            strict=True,
        )
    ]
    mine = found.winner.walks[at]
    same = [mine.mean_loss + found.price / part.counted * (mine.trainings - x) for x in range(most + 1)]
    low, high = min(best), max(each.walks[at].mean_loss for each in found.tried)
    room = (high - low or 1.0) * 0.08
    quiet = at > 0
    return Panel(
        f"{name} ({part.start:%Y-%m-%d} to {part.end:%Y-%m-%d})",
        "trainings",
        f"mean {found.objective}, lower is better",
        marks=[
            marks("chosen", [found.winner], RED, "*", 220),
            marks("never and calendars", calendars, BLUE, "s", 45),
            marks("drift share 0.5", [found.fixed[-1]], ORANGE, "D", 50),
            marks("present", [found.present], PURPLE, "P", 70),
            marks("others", rest, GREY, ".", 60),
        ],
        curves=[
            Curve("_nolegend_" if quiet else "oracle", range(most + 1), best, BLACK, "--"),
            Curve("_nolegend_" if quiet else "same cost as chosen", range(most + 1), same, GREY, ":", 1.4),
        ],
        limits={"y": (low - room, high + room), "x": (-0.04 * most - 0.5, 1.06 * most + 0.5)},
    )


def _padded(losses: Sequence[float], most: int) -> list[float]:
    return [*losses, *[losses[-1]] * (most + 1 - len(losses))]


def _compared(choice: Choice) -> list[tuple[Tried, str, str]]:
    """Name the policies drawn over time, each once, with a colour and a style."""
    found = choice.ranking
    never, *calendars, drift = found.fixed
    cheapest = min(calendars, key=lambda each: each.chosen_on.cost(found.price))
    wanted = [
        (found.winner, RED, "-"),
        (never, BLACK, "--"),
        (calendars[0], SKY, "-"),
        (cheapest, BLUE, "-"),
        (drift, ORANGE, "-."),
        (found.present, PURPLE, ":"),
    ]
    once: dict[int, tuple[Tried, str, str]] = {}
    for each in wanted:
        once.setdefault(id(each[0]), each)
    return list(once.values())


def _regret(choice: Choice) -> str:
    curves = [
        Curve(
            f"{_short(tried)} (chosen)" if tried is choice.ranking.winner else _short(tried),
            *_over_time(choice, tried),
            colour,
            style,
            width=2.6 if tried is choice.ranking.winner else 1.6,
        )
        for tried, colour, style in reversed(_compared(choice))
    ]
    panel = Panel(
        "accumulated regret (left of the dotted line: chosen on; right: reported on)",
        "",
        f"cost above the oracle's, {choice.ranking.objective}",
        curves=curves,
        breaks=[choice.parts[1].start],
    )
    return draw([panel], "Accumulated cost of some policies above the oracle's.", height=4.2)


def _over_time(choice: Choice, tried: Tried) -> tuple[list[datetime], list[float]]:
    windows, price = choice.matrices[0].windows, choice.ranking.price
    when: list[datetime] = []
    summed: list[float] = []
    for walked, part in zip(tried.walks, choice.parts, strict=True):
        best = _best_costs(part, price)
        above = [(each.cost(price) or 0.0) - other for each, other in zip(walked.steps, best, strict=True)]
        when += [windows[part.first].start, *(windows[step.window].end for step in walked.steps), part.end]
        # Not a number: the line is broken where the part ends.
        summed += [0.0, *accumulate(above), float("nan")]
    return when, summed


def _best_costs(part: Part, price: float) -> list[float]:
    losses = enumerate(part.best.losses, part.first)
    return [(loss or 0.0) + price * (at in part.best.cuts) for at, loss in losses]


def _lanes(choice: Choice) -> str:
    shown = choice.shown()
    windows = choice.matrices[0].windows

    def marks(name: str, colour: str, marker: str, is_so: Callable[[Step], bool], *, at_end: bool) -> Marks:
        found = [
            (windows[step.window].end if at_end else windows[step.window].start, lane)
            for lane, tried in enumerate(shown)
            for walked in tried.walks
            for step in walked.steps
            if is_so(step)
        ]
        return Marks(name, [at for at, _ in found], [y for _, y in found], colour, marker, (), 42, not at_end)

    best = [windows[cut].start for part in choice.parts for cut in part.best.cuts]
    panel = Panel(
        "trainings, refusals and what held a training back",
        "",
        "",
        marks=[
            marks("trained", GREEN, "^", lambda step: step.passed is True, at_end=False),
            marks("trained, refused by the gate", RED, "x", lambda step: step.passed is False, at_end=False),
            marks("called for, held back", ORANGE, "o", _held_back, at_end=True),
            marks("broken data", BLACK, "s", lambda step: step.verdict.word == "blocked", at_end=True),
            Marks("oracle's training", best, [len(shown)] * len(best), BLACK, "^"),
        ],
        lanes=[*(choice.title(each)[: 2 * _LABELS] for each in shown), "oracle"],
        breaks=[choice.parts[1].start],
        limits={"x": (windows[0].start, windows[-1].end + (windows[-1].end - windows[-1].start) / 2)},
    )
    return draw([panel], "When each policy trained, was refused or held back.", height=1.4 + 0.3 * len(shown))


def _held_back(step: Step) -> bool:
    """Tell whether a rule called and something kept it from training."""
    return step.verdict.word in ("keep", "held") and step.verdict.trigger != "none"


def _heat(choice: Choice) -> str:
    matrix = next(each for each in choice.matrices if each.kind == choice.ranking.winner.kind)
    panels = [
        Panel("loss", "window", "model", grid=Grid(list(_losses(matrix, False)), matrix.objective)),
        Panel(
            "worse than a fresh model",
            "window",
            "model",
            grid=Grid(list(_losses(matrix, True)), f"{matrix.objective} lost by age", "RdBu_r", 0.0),
        ),
    ]
    return draw(panels, "Loss of the model of each cut in each window.", height=4.6)


def _losses(matrix: Matrix, above_fresh: bool) -> Iterator[list[float | None]]:
    size = len(matrix.windows)
    for cut in range(size):
        line: list[float | None] = []
        for at in range(size):
            loss = matrix.cells[cut, at].loss if cut <= at else None
            fresh = matrix.cells[at, at].loss
            line.append(loss if not above_fresh else None if None in (loss, fresh) else _less(loss, fresh))
        yield line


def _less(loss: float | None, fresh: float | None) -> float:
    return (loss or 0.0) - (fresh or 0.0)


def _short(tried: Tried) -> str:
    name = tried.candidate.name
    return name if len(name) <= _LABELS else f"{name[: _LABELS - 1]}…"
