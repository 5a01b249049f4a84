"""Does the policy that replay chooses cost less than the usual ones, on windows that it was not chosen on?

Run it as `python benchmarks/policies.py`. First the example's year of flights, with weekly windows: chosen on
the first half, held against never, calendars and drift share on the second. All that could be turned is a
constant of this file, fixed before the second half was looked at. Then worlds whose truth is known, by the
hundred, since a year is one history. `--keep FOLDER` leaves the matrices for the next time; `--model`,
`--every 28d` and `--worlds 10` make it shorter.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from premise import premise
from simulated import first_loss, simulated
from year import CHECKOUT, MODELS, flights, replayed

from keepfit.policy import Matrix, Ranking, Tried, rank
from keepfit.policy.candidates import calendar_name, window_length
from keepfit.policy.certainty import Difference
from keepfit.spec import load_project
from keepfit.steps.choose_policy import to_price
from keepfit.steps.matrix_file import read_matrix, write_matrix

PRICES = (0.005, 0.025, 0.125)
"""Of a training, in mean losses of the first model in a window of the half to choose on."""
SPLIT = 0.5
CALENDARS = (1, 4, 13)
"""Of those replay tries, the ones to hold the chosen policy against; beside never and drift share 0.5."""


@dataclass(frozen=True)
class Study:
    """A choice, and the usual policies it is held against on the other half."""

    share: float
    """The price, in mean losses of a window."""
    gate: bool
    ranking: Ranking
    usual: tuple[Tried, ...]

    @property
    def chosen(self) -> Tried:
        """The policy that replay chose."""
        return self.ranking.winner

    def ahead(self, other: Tried) -> Difference:
        """Return what the chosen costs more than another on the half reported on, in trainings."""
        found, price = self.ranking.against(other)[1], self.ranking.price
        return Difference(found.value / price, found.low / price, found.high / price, found.windows)


def matrices(models: Sequence[str], every: str, keep: Path | None) -> Iterator[Matrix]:
    """Replay each model, or read what was replayed before."""
    files = {name: keep / f"matrix-{name}-{every}.json" for name in models} if keep else {}
    if files and all(each.exists() for each in files.values()):
        yield from map(read_matrix, files.values())
        return
    with flights(keep) as project:
        for name in models:
            matrix, _ = replayed(project, name, every)
            if files:
                write_matrix(matrix, files[name])
            yield matrix


def study(matrix: Matrix, share: float, gate: bool) -> Study:
    """Choose at a price."""
    own = load_project(CHECKOUT).model(matrix.model).policy
    ranking = rank(own, [matrix], share * first_loss(matrix, SPLIT), SPLIT, gate)
    length = window_length(matrix)
    names = ("never", *(calendar_name(each * length) for each in CALENDARS), "drift share 0.5")
    known = {each.candidate.name: each for each in ranking.fixed}
    return Study(share, gate, ranking, tuple(known[name] for name in names))


def tell(studies: Sequence[Study]) -> None:
    """Print what the chosen and the usual policies cost a model on the half that nothing was chosen on."""
    found = studies[0].ranking
    part, gate = found.reporting, "with" if studies[0].gate else "without"
    print(f"\n{found.model}, {gate} the gate, {part.counted} windows, {part.start:%F} to {part.end:%F}\n")
    print("| price | policy | trainings (refused) | loss | total cost | the chosen costs more by (90 %) |")
    print("|---|---|---|---|---|---|")
    for each in studies:
        for line in lines(each):
            print(f"| {each.share:.1%} | {' | '.join(line)} |")


def lines(each: Study) -> Iterator[tuple[str, ...]]:
    """Return the lines of a price."""
    ranking, price = each.ranking, each.ranking.price
    for tried in dict.fromkeys((each.chosen, *each.usual, ranking.present)):
        walked, name = tried.reported_on, tried.candidate.title
        said, ahead = name, interval(each.ahead(tried))
        if tried is each.chosen:
            said, ahead = f"**{name}** (chosen)", ""
        count, costs = f"{walked.trainings} ({walked.refusals})", (walked.loss, walked.cost(price))
        yield said, count, *(to_price(cost, price) for cost in costs), ahead
    best = ranking.reporting.best
    yield "oracle", str(best.trainings), to_price(best.loss, price), to_price(best.cost(price), price), ""


def interval(ahead: Difference) -> str:
    """Write a difference, and between which it may lie."""
    return f"{ahead.value:+.1f} ({ahead.low:+.1f} to {ahead.high:+.1f})"


def summary(studies: Sequence[Study]) -> None:
    """Print the wins and losses."""
    print("\nWhat the chosen costs more (+) or less (-), in trainings; * where the 90 % interval excludes 0.")
    print("\n| model | price | chosen | never | 1 window | 4 windows | 13 windows | drift share 0.5 |")
    print("|---|---|---|---|---|---|---|---|")
    for each in studies:
        ahead = " | ".join(short(each.ahead(other)) for other in each.usual)
        print(f"| {each.ranking.model} | {each.share:.1%} | {each.chosen.candidate.title} | {ahead} |")
    told = [each.ahead(other) for each in studies for other in each.usual]
    less, more = ([one for one in told if sign * one.value > 0] for sign in (-1, 1))
    sure = [sum(one.told == word for one in told) for word in ("less", "more")]
    print(
        f"\nOf {len(told)} comparisons the chosen is cheaper in {len(less)} ({sure[0]} surely), dearer in "
        f"{len(more)} ({sure[1]} surely), and the same in the rest."
    )


def short(ahead: Difference) -> str:
    """Write a difference; marked where it is no luck."""
    return f"{ahead.value:+.1f}{'' if ahead.told == 'unsure' else '*'}" if ahead.value else "same"


def main() -> None:
    """Print the tables."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--model", choices=MODELS, action="append", help="one of them; both by default")
    asked.add_argument("--every", default="7d", help="the windows' length")
    asked.add_argument("--keep", type=Path, help="a folder to keep the year and the matrices in")
    asked.add_argument("--worlds", type=int, default=200, help="simulated histories of each kind; 0: none")
    told = asked.parse_args()
    if told.keep:
        told.keep.mkdir(parents=True, exist_ok=True)
    made = list(matrices(tuple(told.model or MODELS), told.every, told.keep))
    premise(made)
    for gate in (True, False):
        by_model = [[study(matrix, share, gate) for share in PRICES] for matrix in made]
        for studies in by_model:
            tell(studies)
        summary([each for studies in by_model for each in studies])
    if told.worlds:
        simulated(told.worlds, PRICES, SPLIT)


if __name__ == "__main__":
    main()
