"""What triage makes of broken data, of another concept and of a mere shift, against a drift-share loop.

Run it as `python benchmarks/faults.py`. Known faults are put into weeks of a year of flights; keepfit's
search for faults, its regret and its `decide` judge each of them, as does "share of drifted columns >= 0.5".
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from flight_features import NOT_FEATURES, features
from flight_models import PARAMS, TREES

from keepfit.backends.sketches import Sketch, sketch_values
from keepfit.backends.sketches.sketch import of_texts
from keepfit.policy import Champion, DriftSignal, History, RegretSignal, Signals, decide
from keepfit.spec import ModelSpec, load_project
from keepfit.spec.policy import PolicySpec
from keepfit.steps.alike_rows import ALIKE
from keepfit.steps.distances import measure
from keepfit.steps.evaluate import CHALLENGER, CHAMPION
from keepfit.steps.faults import BEFORE, find_faults
from keepfit.steps.regret import regret

WEEKS = (18, 22, 26, 30, 34, 38, 42, 46)
"""In each of these every fault is put in once; a change of the world lasts for three weeks."""
AGE, STRETCH, WAIT = 4, 3, 2
"""How old the champion is when a fault comes, in weeks; how long a change lasts, from its first week on; in
so many weeks after it the price of poison is looked at."""
SHARE = 0.5
START = datetime(2013, 1, 1, tzinfo=UTC)
LOOP, TRIAGE, REGRET = "drift share", "keepfit, drift share", "keepfit, regret"
POLICIES: Mapping[str, PolicySpec] = {
    TRIAGE: PolicySpec.model_validate({"rules": [{"rule": "drift_share", "share": SHARE}]}),
    REGRET: PolicySpec.model_validate({"rules": [{"rule": "regret", "cost": 0.02}]}),
}
"""The loop's own trigger with keepfit's triage behind it; and what is advised."""
RECENT = ["departure_delay_24h", "late_share_24h", "departure_delay_3h", "arrival_delay_7d"]
Rows = pd.DataFrame
Change = Callable[[Rows, np.random.Generator], Rows]
Sketches = Mapping[str, Sketch]


def scaled(columns: Sequence[str], factor: float, offset: float = 0.0) -> Change:
    """Give columns another unit."""
    return lambda rows, _: rows.assign(**{name: rows[name] * factor + offset for name in columns})


def emptied(columns: Sequence[str], share: float) -> Change:
    """Lose values."""
    return lambda rows, chance: rows.assign(
        **{name: rows[name].mask(chance.random(len(rows)) < share) for name in columns}
    )


def stuck(columns: Sequence[str], share: float) -> Change:
    """Repeat one value from some row on."""

    def change(rows: Rows, _: np.random.Generator) -> Rows:
        at = np.arange(len(rows)) >= len(rows) * (1 - share)
        first = {name: rows[name].dropna().iloc[int(rows[name].count() * (1 - share))] for name in columns}
        return rows.assign(**{name: rows[str(name)].mask(at, value) for name, value in first.items()})

    return change


def repeated(days: int) -> Change:
    """Load the first days of the week twice."""

    def change(rows: Rows, _: np.random.Generator) -> Rows:
        first = rows["event_time"] < rows["event_time"].iloc[0].floor("D") + pd.Timedelta(days=days)
        return pd.concat([rows, rows[first]]).sort_values("event_time", kind="stable")

    return change


def flipped(rows: Rows, _: np.random.Generator) -> Rows:
    """Let late and on time change places for half of the destinations."""
    return rows.assign(late=rows["late"].where(rows["destination"] < "LAX", 1 - rows["late"]))


def resampled(rows: Rows, chance: np.random.Generator) -> Rows:
    """Keep half of the rows, rather those after delays, at night, far away, in heat, with their labels."""
    weight = pd.Series(0.0, rows.index)
    for name in (*RECENT, "departure_hour", "miles", "temp"):
        weight += 0.7 * (rows[name].rank(pct=True).fillna(0.5) - 0.5) * 2
    chosen = np.exp(weight.to_numpy())
    at = np.sort(chance.choice(len(rows), len(rows) // 2, replace=False, p=chosen / chosen.sum()))
    return rows.iloc[at]


FAULTS: Mapping[str, Change] = {
    "temperature in Celsius": scaled(["temp"], 5 / 9, -160 / 9),
    "distance in kilometres": scaled(["miles"], 1.609344),
    "delays in seconds": scaled([*RECENT[::2], "arrival_delay_7d", "last_arrival_delay"], 60),
    "30 % of recent delays missing": emptied(RECENT, 0.3),
    "10 % of recent delays missing": emptied(RECENT, 0.1),
    "thermometer stuck all week": stuck(["temp", "humid"], 1.0),
    "recent delays stuck for three days": stuck(RECENT, 3 / 7),
    "the week loaded twice": repeated(7),
    "one day loaded twice": repeated(1),
}
CHANGES: Mapping[str, Change] = {
    "nothing": lambda rows, _: rows,
    "covariate shift only": resampled,
    "another concept": flipped,
}
WANTED = {"nothing": "harmless", "covariate shift only": "harmless", "another concept": "retrain"}


@dataclass(frozen=True)
class Case:
    """What was put into which week, and what was made of it."""

    what: str
    verdicts: Mapping[str, str]
    """By who judged: blocked, harmless or retrain."""
    reason: str


@dataclass(frozen=True)
class Models:
    """A champion and a challenger that knows more."""

    champion: lightgbm.Booster
    fresh: lightgbm.Booster
    age: int
    """By how many weeks it knows more."""


class Year:
    """The flights by week, and models trained up to a week."""

    def __init__(self, rows: Rows, spec: ModelSpec) -> None:
        """Cut the year."""
        self.spec = spec
        self.names = [str(name) for name in rows if name not in NOT_FEATURES]
        self.cities = {city: code for code, city in enumerate(sorted(rows["destination"].unique()))}
        week = (rows["event_time"] - pd.Timestamp(START)).dt.days // 7
        self.weeks = [rows[week == number] for number in range(52)]
        self.sketch = cache(lambda number: self.sketched(self.weeks[number]))

    def sketched(self, rows: Rows) -> Sketches:
        """Sketch the features of rows in memory."""
        alike = rows.groupby(self.names, dropna=False, sort=False).size().to_numpy(float)
        return {**{name: _sketch(rows[name]) for name in self.names}, ALIKE: sketch_values(alike)}

    def reference(self, until: int) -> Sketches:
        """Merge the sketches of all weeks before."""
        merged = dict(self.sketch(0))
        for number in range(1, until):
            merged = {name: each.merge(self.sketch(number)[name]) for name, each in merged.items()}
        return merged

    def train(self, rows: Sequence[Rows]) -> lightgbm.Booster:
        """Train the example's kind of model."""
        together = pd.concat(rows)
        return lightgbm.train(PARAMS, lightgbm.Dataset(self.coded(together), together["late"]), TREES)

    def coded(self, rows: Rows) -> Rows:
        """Turn the destination into a number."""
        return rows[self.names].assign(destination=rows["destination"].map(self.cities)).astype(float)

    def loss(self, model: lightgbm.Booster, rows: Rows) -> float:
        """Return the log loss."""
        score = np.clip(model.predict(self.coded(rows)), 1e-6, 1 - 1e-6)
        return float(-np.mean(np.where(rows["late"] == 1, np.log(score), np.log(1 - score))))


def main() -> None:
    """Print the tables."""
    began = time.process_time()
    project = load_project(Path(__file__).parents[1])
    year = Year(features(), project.model("flight_delay"))
    print(f"{len(year.weeks)} weeks, {sum(map(len, year.weeks)):,} flights, {len(year.names)} features\n")
    blocked_in_vain(year)
    cases = [case for week in WEEKS for case in judged(year, week)]
    confusion(cases)
    reasons(cases)
    poison(year, cases)
    print(f"\n{time.process_time() - began:.0f} CPU seconds")


def blocked_in_vain(year: Year) -> None:
    """Judge every week that has windows before, as it is."""
    first = 4
    blocked: dict[int, tuple[str, ...]] = {}
    for week in range(first, len(year.weeks)):
        before = [year.sketch(at) for at in range(max(0, week - BEFORE), week)]
        found = find_faults(year.reference(min(week, 13)), before, year.sketch(week))
        blocked |= {week: found.broken} if found.broken else {}
    weeks = len(year.weeks) - first
    print(f"Weeks as they are: {len(blocked)} of {weeks} blocked ({len(blocked) / weeks:.1%})")
    for week, why in blocked.items():
        print(f"- week {week}: {'; '.join(why)}")


def judged(year: Year, week: int) -> Iterator[Case]:
    """Put everything into one week, one after the other."""
    old, fresh = year.train(year.weeks[: week - AGE]), year.train(year.weeks[:week])
    reference, chance = year.reference(week - AGE), np.random.default_rng(week)
    for what, change in FAULTS.items():
        models = Models(old, fresh, AGE)
        yield verdicts(what, [measured(year, week, change(year.weeks[week], chance), reference, models)])
    reference = year.reference(week)
    for what, change in CHANGES.items():
        changed = [change(rows, chance) for rows in year.weeks[week : week + STRETCH]]
        yield verdicts(what, list(stretch(year, week, changed, reference, fresh)))


def stretch(
    year: Year, week: int, changed: Sequence[Rows], reference: Sketches, champion: lightgbm.Booster
) -> Iterator[Signals]:
    """Measure the weeks of a change, each with a challenger that knows those before."""
    for at, rows in enumerate(changed):
        fresh = year.train([*year.weeks[:week], *changed[:at]]) if at else champion
        yield measured(year, week + at, rows, reference, Models(champion, fresh, at), changed[:at])


def verdicts(what: str, seen: Sequence[Signals]) -> Case:
    """Decide about weeks in their order: the first that is not kept says what was made of them."""
    found, reason = {}, ""
    for name, policy in POLICIES.items():
        decided = [decide(each, seen[:at], policy, History()) for at, each in enumerate(seen)]
        verdict = next((each for each in decided if each.word != "keep"), decided[-1])
        found[name] = {"keep": "harmless"}.get(verdict.word, verdict.word)
        reason = verdict.reason
    shares = [each.drift.share or 0.0 for each in seen if each.drift]
    found[LOOP] = "retrain" if max(shares) >= SHARE else "harmless"
    return Case(what, found, reason)


def measured(  # noqa: PLR0917
    year: Year,
    week: int,
    rows: Rows,
    reference: Sketches,
    models: "Models",
    changed: Sequence[Rows] = (),
) -> Signals:
    """Measure what `decide` looks at; changed weeks are among those before."""
    clean = week - len(changed)
    before = [year.sketch(at) for at in range(clean - BEFORE + len(changed), clean)]
    current = year.sketched(rows)
    found = find_faults(reference, [*before, *map(year.sketched, changed)], current)
    far = {name: measure(reference[name], each) for name, each in current.items() if each.n and name != ALIKE}
    drifted = tuple(name for name, each in far.items() if each.drifted)
    drift = DriftSignal(len(rows), len(far), drifted, len(drifted) / len(far), broken=found.broken)
    start = START + week * timedelta(days=7)
    return Signals(
        model="flight_delay",
        window_start=start,
        window_end=start + timedelta(days=7),
        rows=len(rows),
        champion=Champion("1", start - models.age * timedelta(days=7)),
        performance=None,
        drift=drift,
        regret=_regret(year, rows, models),
    )


def _regret(year: Year, rows: Rows, models: "Models") -> RegretSignal:
    if not models.age:
        return RegretSignal(0.0, 0.0, len(rows))  # as the live loop says: a challenger knows no more
    coded = year.coded(rows)
    both = pd.DataFrame({"event_time": rows["event_time"], "label": rows["late"].astype(float)})
    both = both.assign(**{CHAMPION: models.champion.predict(coded), CHALLENGER: models.fresh.predict(coded)})
    return regret(both.reset_index(drop=True), year.spec)


def confusion(cases: Sequence[Case]) -> None:
    """Print what was made of each."""
    judges = (TRIAGE, REGRET, LOOP)
    print(f"\n| put in | right | {' | '.join(judges)} |\n|---|---|---|---|---|")
    for what in (*FAULTS, *CHANGES):
        made = [Counter(each.verdicts[judge] for each in cases if each.what == what) for judge in judges]
        told = [", ".join(f"{count} {word}" for word, count in each.most_common()) for each in made]
        print(f"| {what} | {WANTED.get(what, 'blocked')} | {' | '.join(told)} |")
    right = [
        sum(each.verdicts[judge] == WANTED.get(each.what, "blocked") for each in cases) for judge in judges
    ]
    print(f"| right | of {len(cases)} | {' | '.join(map(str, right))} |")


def reasons(cases: Sequence[Case]) -> None:
    """Print one reason for each, and for what was blocked in vain."""
    print()
    for what in (*FAULTS, *CHANGES):
        said = next(each for each in cases if each.what == what)
        print(f"- {what}: {said.verdicts[REGRET]}: {said.reason[:200]}")
    for each in cases:
        if each.what in CHANGES and each.verdicts[REGRET] == "blocked":
            print(f"- blocked in vain, {each.what}: {each.reason}")


def poison(year: Year, cases: Sequence[Case]) -> None:
    """Say how many trainings take broken rows in, and what that costs."""
    broken = [each for each in cases if each.what in FAULTS]
    print(f"\n| of {len(broken)} broken weeks | {LOOP} | {TRIAGE} | {REGRET} |\n|---|---|---|---|")
    made = [[each.verdicts[judge] for each in broken] for judge in (LOOP, TRIAGE, REGRET)]
    print(f"| start a training at once | {' | '.join(str(each.count('retrain')) for each in made)} |")
    taken = [f"{len(broken) - each.count('blocked')}" for each in made]
    print(f"| are in the next training, whatever starts it | {' | '.join(taken)} |\n")
    print("| trained on a broken week | log loss of the two weeks after, against a clean training |")
    print("|---|---|")
    for what, change in FAULTS.items():
        costs = []
        for week in WEEKS[::2]:
            later = pd.concat(year.weeks[week + 1 : week + 1 + WAIT])
            dirty = change(year.weeks[week], np.random.default_rng(week))
            models = [year.train([*year.weeks[week - 8 : week], last]) for last in (year.weeks[week], dirty)]
            clean, poisoned = (year.loss(model, later) for model in models)
            costs.append(poisoned - clean)
        print(f"| {what} | {np.mean(costs):+.4f} (from {min(costs):+.4f} to {max(costs):+.4f}) |")


def _sketch(column: "pd.Series[float]") -> Sketch:
    if column.dtype == object:
        return of_texts({str(text): int(n) for text, n in column.value_counts().items()}, len(column))
    return sketch_values(column.to_numpy(float))


if __name__ == "__main__":
    main()
