"""Say which policy was chosen, in a short table, and how sure that is."""

from collections.abc import Iterator, Sequence

from keepfit.policy import Matrix, Walk
from keepfit.policy.certainty import CONFIDENCE, FEW, Difference
from keepfit.policy.parts import Part
from keepfit.spec.yaml_file import yaml_text
from keepfit.steps.choose_policy import Choice, dates, to_price, written

_FIGURES = ("trainings", "mean loss", "cost", "regret")
ORACLE = "oracle (knows the future)"


def table(choice: Choice) -> Iterator[str]:
    """Write the short table under what it rests on."""
    yield from basis(choice)
    yield ""
    rows = [["policy", *_FIGURES, *_FIGURES], *figures(choice)]
    rows = [[*row[:5], "|", *row[5:]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def basis(choice: Choice) -> list[str]:
    """Say what the figures rest on."""
    found, (first, rest) = choice.ranking, choice.parts
    gate = "challengers must pass the gate" if found.gate else "without the gate"
    return [
        f"{found.model}: chosen on {dates(first)} ({first.last - first.first} windows, left), reported on "
        f"{dates(rest)} ({rest.last - rest.first} windows, right)",
        f"a training costs {found.price:g} of {found.objective} summed over windows; labels come after "
        f"{choice.label_delay}; {gate}; {len(found.tried)} policies tried; * is the one chosen",
        "each policy walks all windows once, from the same first model: it enters the part reported on with "
        "the model its own decisions left it; the oracle may begin a part with any model trained by then",
    ]


def figures(choice: Choice) -> Iterator[list[str]]:
    """Return the rows of the short table: a name, then the figures of both parts."""
    price = choice.ranking.price
    for each in choice.shown():
        pairs = zip(each.walks, choice.parts, strict=True)
        yield [choice.title(each), *(cell for walked, part in pairs for cell in of_walk(walked, part, price))]
    yield [ORACLE, *(cell for part in choice.parts for cell in _of_best(part, price))]


def of_walk(walked: Walk, part: Part, price: float) -> tuple[str, ...]:
    """Return trainings, mean loss, total cost, and regret against the oracle."""
    refused = f", {walked.refusals} refused" if walked.refusals else ""
    numbers = walked.mean_loss, walked.cost(price), part.regret(walked, price)
    return (f"{walked.trainings}{refused}", *(to_price(each, price) for each in numbers))


def _of_best(part: Part, price: float) -> Sequence[str]:
    best = part.best
    numbers = best.loss / part.counted, best.cost(price), 0.0
    return str(best.trainings), *(to_price(each, price) for each in numbers)


def evidence(choice: Choice) -> Iterator[str]:
    """Say how sure the choice is: against what most do, on the windows it was not chosen on."""
    found, counted = choice.ranking, choice.ranking.reporting.counted
    yield (
        f"How sure? Total cost against the usual policies on {dates(found.reporting)}, which chose nothing, "
        f"with {CONFIDENCE:.0%} intervals from windows drawn again in blocks:"
    )
    if counted < FEW:
        yield f"Little evidence: {counted} windows. Below {FEW} the intervals themselves are guesses."
    for other in found.fixed:
        if other is not found.winner:
            yield f"  {_against(choice.title(other), found.against(other)[1], found.price)}"
    yield from _simpler(choice)
    yield from _blind(choice.matrices[0])
    for part, what in zip(choice.parts, ("choose", "report"), strict=True):
        windows = part.last - part.first
        if left := windows - part.counted:
            yield f"{left} of the {windows} windows to {what} on have no loss, and count for no policy."


def _simpler(choice: Choice) -> Iterator[str]:
    """Name the calendar to take instead of signals that are not surely better, without a look at the rest."""
    found = choice.ranking
    if found.winner.candidate.size <= 1:
        return
    others = [each for each in found.fixed if each.candidate.size == 1]
    if alike := [each for each in others if found.against(each)[1].told != "less"]:
        best = min(alike, key=lambda each: each.chosen_on.cost(found.price))
        block = yaml_text(written(best.candidate.policy), width=1000, default_flow_style=True).strip()
        yield (
            f"A calendar is simpler, and as far as this tells no dearer: {choice.title(best)}. To take it: "
            f"policy: {block}"
        )


def _blind(matrix: Matrix) -> Iterator[str]:
    """Say that the first model's drift was never judged, so that rules which listen to it never asked."""
    first = [matrix.cells[0, at].signals.drift for at in range(len(matrix.windows))]
    if any(each is None or each.share is not None for each in first):
        return
    why = next(each.reason for each in first if each)
    told = (at for at in range(len(matrix.windows)) if _is_judged(matrix, at))
    at = next(told, None)
    begin = "" if at is None else f"begin with --from {matrix.windows[at].start:%Y-%m-%d}, or "
    yield (
        "Nothing is said here of the rules that go by drift: under the first model it could not be judged in "
        f"any window ({why}), so they cost what never costs. To try them, {begin}lower "
        "monitor.drift.min_rows."
    )


def _is_judged(matrix: Matrix, at: int) -> bool:
    drift = matrix.cells[at, at].signals.drift
    return drift is not None and drift.share is not None


def _against(name: str, found: Difference, price: float) -> str:
    words = {"less": "costs less than", "more": "costs MORE than", "unsure": "no telling it from"}
    value, low, high = (to_price(each, price, "+") for each in (found.value, found.low, found.high))
    return f"{words[found.told]} {name}: {value} ({low} to {high})"
