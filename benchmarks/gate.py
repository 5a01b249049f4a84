"""How often the gate promotes luck, and how much better a model must be to pass it.

Run it as `python benchmarks/gate.py`. Seeds of one small model of a year of flights are held against each
other, and against models made worse by known means; then the bootstrap is timed against drawing the rows one
draw after the other.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from flight_models import DAYS, SEEDS, Array, Holdout, flights, holdouts

from keepfit.spec import ModelSpec
from keepfit.spec.gate import GateSpec
from keepfit.steps.compare import compare
from keepfit.steps.draws import Draws, Estimate, draw
from keepfit.steps.evaluate import BASELINE, CHALLENGER, CHAMPION, Evaluation
from keepfit.steps.gate import Judgement, gate
from keepfit.steps.metrics import find_metric, is_higher_better, measure

LENGTHS = (14, 28, 56)
METRICS = ("log_loss", "brier", "roc_auc", "calibration_error")
OBJECTIVE, CONFIDENCE = "log_loss", 0.9
PAIRS = 12
"""Of seeds in each stretch of holdout, the same for all ways."""
CHALLENGERS = 2
"""Seeds that are held against each worse model."""
Scores = pd.DataFrame


def main() -> None:
    """Print the tables."""
    began = time.process_time()
    tried = list(holdouts(flights()))
    models = SEEDS + len(tried[0].worse)
    rows = sum(len(each.rows) for each in tried)
    print(f"{len(tried)} holdouts of {DAYS} days, {rows:,} scored rows, {models} models each\n")
    luck(tried)
    together(tried)
    swapped(tried)
    power(tried)
    speed(tried[0])
    print(f"\n{time.process_time() - began:.0f} CPU seconds")


def stretches(holdout: Holdout, length: int) -> Iterator[Array]:
    """Cut a holdout into stretches of so many days."""
    for start in range(0, DAYS, length):
        yield (holdout.day >= start) & (holdout.day < start + length)


def pairs(count: int) -> list[tuple[int, int]]:
    """Choose pairs of seeds."""
    every = list(combinations(range(SEEDS), 2))
    chosen = np.random.default_rng(0).permutation(len(every))[:count]
    return [every[at] for at in chosen]


def scored(holdout: Holdout, rows: Array, challenger: Array, champion: Array) -> Scores:
    """Put the scores of two models beside their rows, as the gate reads them."""
    return holdout.rows[rows].assign(
        **{
            CHALLENGER: challenger[rows],
            CHAMPION: champion[rows],
            BASELINE: holdout.baseline,
            "slice.airport": holdout.rows["airport"][rows],
        }
    )


def judged(scores: Scores, spec: ModelSpec) -> Judgement:
    """Put two models before the real gate."""
    label = scores["label"].to_numpy()
    ours, theirs, baseline = (
        measure(spec.evaluate.all_metrics, label, scores[who].to_numpy())
        for who in (CHALLENGER, CHAMPION, BASELINE)
    )
    ends = [scores["event_time"].iloc[at].isoformat() for at in (0, -1)]
    return gate(Evaluation(0, (ours,), baseline, theirs, "1", None, len(scores), *ends), scores, spec)


def model(**rule: Any) -> ModelSpec:
    """Return a spec with such a gate."""
    return ModelSpec.model_validate(
        {
            "name": "late",
            "task": "classification",
            "entities": {"dataset": "flights", "columns": ["airport"]},
            "features": "flight",
            "label": {"column": "late", "delay": "0d"},
            "train": {"holdout": "14d", "candidates": [{"trainer": "lightgbm"}]},
            "evaluate": {"objective": OBJECTIVE, "metrics": METRICS[1:], "gate": rule},
        }
    )


def luck(tried: Sequence[Holdout]) -> None:
    """Count how often one seed of a model is promoted over another."""
    ways: Mapping[str, Callable[[Scores], tuple[bool, bool]]] = {
        "the better figure": _by_figure,
        "rows drawn one by one": _by_rows,
        "days, percentiles": _by_percentiles,
        "days, Student": lambda scores: _by_interval(scores, GateSpec(block="day")),
        "blocks, Student": lambda scores: _by_interval(scores, GateSpec()),
        "the gate by default": _by_gate,
    }
    print(
        f"## Promotions of one seed over another, {OBJECTIVE}; stated: {(1 - CONFIDENCE) / 2:.0%} each way\n"
    )
    found = {length: _rates(tried, length, ways) for length in LENGTHS}
    print("| way | " + " | ".join(f"{length} days" for length in LENGTHS) + " |")
    print("|---|" + "---|" * len(LENGTHS))
    for way in ways:
        print(f"| {way} | " + " | ".join(_rate(found[length][way]) for length in LENGTHS) + " |")
    counts = ", ".join(
        f"{len(each['blocks, Student']) * PAIRS} of {length} days" for length, each in found.items()
    )
    print(f"\npairs: {counts}; +- is the standard error over the stretches\n")
    _later(tried)


def _rates(
    tried: Sequence[Holdout], length: int, ways: Mapping[str, Callable[[Scores], tuple[bool, bool]]]
) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {way: [] for way in ways}
    for holdout in tried:
        for rows in stretches(holdout, length):
            frames = [scored(holdout, rows, *holdout.seeds[list(pair)]) for pair in pairs(PAIRS)]
            for way, promotes in ways.items():
                found[way].append(float(np.mean([promotes(frame) for frame in frames])))
    return found


def _rate(values: Sequence[float]) -> str:
    return f"{np.mean(values):.1%} +- {np.std(values) / np.sqrt(len(values)):.1%}"


def _by_figure(scores: Scores) -> tuple[bool, bool]:
    gain = _gains(scores).mean()
    return bool(gain > 0), bool(gain < 0)


def _by_rows(scores: Scores) -> tuple[bool, bool]:
    gains = _gains(scores)
    drawn = np.random.default_rng(7).integers(len(gains), size=(100, len(gains)))
    low, high = np.quantile(gains[drawn].mean(axis=1), [0.05, 0.95])
    return bool(low > 0), bool(high < 0)


def _by_percentiles(scores: Scores) -> tuple[bool, bool]:
    draws = draw(scores["event_time"], GateSpec(block="day"), 7)
    label, ours, theirs = (scores[name].to_numpy() for name in ("label", CHALLENGER, CHAMPION))
    drawn = draws.of(OBJECTIVE, label, theirs) - draws.of(OBJECTIVE, label, ours)
    low, high = np.quantile(drawn, [0.05, 0.95])
    return bool(low > 0), bool(high < 0)


def _by_interval(scores: Scores, rule: GateSpec, metric: str = OBJECTIVE) -> tuple[bool, bool]:
    found = estimate(scores, rule, metric)
    better, worse = found.low > 0, found.high < 0
    return (better, worse) if is_higher_better(find_metric(metric)) else (worse, better)


def estimate(scores: Scores, rule: GateSpec, metric: str) -> Estimate:
    """Compare two models by a metric."""
    return compare(scores, metric, draw(scores["event_time"], rule, 7), CONFIDENCE)


def _by_gate(scores: Scores) -> tuple[bool, bool]:
    spec = model()
    turned = scores.rename(columns={CHALLENGER: CHAMPION, CHAMPION: CHALLENGER})
    return judged(scores, spec).verdict == "pass", judged(turned, spec).verdict == "pass"


def _gains(scores: Scores) -> Array:
    likely = [
        np.where(scores["label"] > 0, scores[who], 1 - scores[who]).clip(1e-15, 1)
        for who in (CHALLENGER, CHAMPION)
    ]
    return np.log(likely[0]) - np.log(likely[1])


def _later(tried: Sequence[Holdout]) -> None:
    """Tell whether a seed that looks better in four weeks is better in the next four."""
    kept: list[float] = []
    for holdout in tried:
        first, second = stretches(holdout, DAYS // 2)
        for one, other in pairs(PAIRS):
            better, worse = _by_interval(scored(holdout, first, *holdout.seeds[[one, other]]), GateSpec())
            if better or worse:
                chosen = holdout.seeds[[one, other] if better else [other, one]]
                kept.append(float(_gains(scored(holdout, second, *chosen)).mean()))
    share = np.mean(np.array(kept) > 0)
    print(
        f"Of {len(kept)} seeds that `blocks, Student` calls better on 28 days, {share:.0%} are better on the"
    )
    print(f"next 28 days; the gain there is {np.mean(kept):.4f} on average\n")


def together(tried: Sequence[Holdout]) -> None:
    """Tell how far the daily differences of two models run together."""
    print("## Daily differences in log loss, about their mean\n")
    print("| models | correlation with the next day | spread of a week, of that of 7 independent days |")
    print("|---|---|---|")
    for fault in (None, *tried[0].worse):
        found = [_together(holdout, fault) for holdout in tried]
        next_day, week = np.mean(found, axis=0)
        print(f"| {'two seeds' if fault is None else f'a seed, {fault}'} | {next_day:.2f} | {week:.2f} |")
    print()


def _together(holdout: Holdout, fault: str | None) -> tuple[float, float]:
    count = np.bincount(holdout.day)
    turns = []
    for one, other in pairs(PAIRS):
        champion = holdout.seeds[other] if fault is None else holdout.worse[fault]
        gains = _gains(scored(holdout, holdout.day >= 0, holdout.seeds[one], champion))
        turns.append(np.bincount(holdout.day, gains) - gains.mean() * count)
    daily = np.array(turns)
    next_day = (daily[:, 1:] * daily[:, :-1]).sum() / (daily**2).sum()
    weekly = daily.reshape(len(daily), -1, 7).sum(axis=2)
    independent = 7 * (daily**2).sum() / (DAYS - 1)
    return float(next_day), float((weekly**2).sum() / (weekly.shape[1] - 1) / independent) ** 0.5


def swapped(tried: Sequence[Holdout]) -> None:
    """Count promotions where there is truly nothing to gain: two seeds change sides from week to week."""
    rules = {
        "days, Student": GateSpec(block="day"),
        "blocks, Student": GateSpec(),
        "weeks, Student": GateSpec(block="week"),
    }
    print(
        "## Intervals that miss a true difference of nothing, on one side (two seeds change sides by weeks)\n"
    )
    print("| metric | " + " | ".join(f"{way}, {length} days" for length in (14, 28) for way in rules) + " |")
    print("|---|" + "---|" * 2 * len(rules))
    for metric in METRICS:
        rates = [
            _rate(_missed(tried, length, rule, metric)) for length in (14, 28) for rule in rules.values()
        ]
        print(f"| {metric} | " + " | ".join(rates) + " |")
    print()


def _missed(tried: Sequence[Holdout], length: int, rule: GateSpec, metric: str) -> list[float]:
    found = []
    for at, holdout in enumerate(tried):
        turned = np.random.default_rng(at).random((PAIRS // 2, DAYS // 7)) < 0.5
        for rows in stretches(holdout, length):
            missed = []
            for pair, weeks in zip(pairs(PAIRS // 2), turned, strict=True):
                one, other = holdout.seeds[list(pair)]
                turn = weeks[holdout.day // 7]
                frame = scored(holdout, rows, np.where(turn, one, other), np.where(turn, other, one))
                missed.append(_by_interval(frame, rule, metric))
            found.append(float(np.mean(missed)))
    return found


def power(tried: Sequence[Holdout]) -> None:
    """Count what passes when the champion was made worse by known means."""
    plain = model()
    guarded = model(
        not_worse_by={"brier": 0.002, "calibration_error": 0.01},
        slices=[{"column": "airport", "not_worse_by": {OBJECTIVE: 0.01}}],
    )
    print("## Passed / undecided / failed, of challengers that are truly better, by the champion's fault\n")
    heads = [f"{length} days" for length in LENGTHS] + [f"{length} days, guarded" for length in LENGTHS]
    print("| champion | true lift | of its lead | " + " | ".join(heads) + " |")
    print("|---|---|---|" + "---|" * len(heads))
    lines = []
    for fault in tried[0].worse:
        lifts, leads = zip(*(_lift(holdout, holdout.worse[fault]) for holdout in tried), strict=True)
        cells = [_verdicts(tried, fault, length, spec) for spec in (plain, guarded) for length in LENGTHS]
        lines.append(
            (np.mean(lifts), f"{np.mean(lifts):.4f} | {np.mean(lifts) / np.mean(leads):.0%}", fault, cells)
        )
    for _, lift, fault, cells in sorted(lines):
        print(f"| {fault} | {lift} | " + " | ".join(cells) + " |")
    print(
        "\nguarded: brier not worse by 0.002, calibration_error by 0.01, log_loss by 0.01 at each airport\n"
    )


def _lift(holdout: Holdout, champion: Array) -> tuple[float, float]:
    """Return how much better the seeds are on all eight weeks, and the champion's lead over the baseline."""
    label = holdout.rows["label"].to_numpy()
    loss = find_metric(OBJECTIVE)
    theirs = loss(label, champion)
    baseline = loss(label, np.full(len(label), holdout.baseline))
    return theirs - float(np.mean([loss(label, each) for each in holdout.seeds])), baseline - theirs


def _verdicts(tried: Sequence[Holdout], fault: str, length: int, spec: ModelSpec) -> str:
    found = []
    for holdout in tried:
        for rows in stretches(holdout, length):
            for seed in range(CHALLENGERS):
                frame = scored(holdout, rows, holdout.seeds[seed], holdout.worse[fault])
                found.append(judged(frame, spec).verdict)
    shares = [found.count(verdict) / len(found) for verdict in ("pass", "undecided", "fail")]
    return " / ".join(f"{share * 100:.0f}" for share in shares)


def speed(holdout: Holdout) -> None:
    """Time all draws of a metric against drawing the rows and measuring them, one draw after the other."""
    print("## 500 draws of a metric\n")
    print("| metric | days | rows | seconds | one after the other | ratio | largest difference |")
    print("|---|---|---|---|---|---|---|")
    for length in (LENGTHS[0], LENGTHS[-1]):
        rows = next(stretches(holdout, length))
        label, score = holdout.rows["label"][rows].to_numpy(), holdout.seeds[0][rows]
        draws = draw(holdout.rows["event_time"][rows], GateSpec(), 7)
        for metric in (*METRICS, "average_precision"):
            ours, fast = _timed(partial(draws.of, metric, label, score))
            theirs, slow = _timed(partial(_loop, draws, metric, label, score))
            seconds = f"{fast:.4f} | {slow:.2f} | {slow / fast:.0f}"
            gap = np.abs(ours - theirs).max()
            print(f"| {metric} | {draws.days} | {len(label):,} | {seconds} | {gap:.0e} |")


def _timed(work: Callable[[], Array]) -> tuple[Array, float]:
    began = time.process_time()
    done = work()
    return done, max(time.process_time() - began, 1e-6)


def _loop(draws: Draws, metric: str, label: Array, score: Array) -> Array:
    days = [np.flatnonzero(draws.day == day) for day in range(draws.days)]
    function = find_metric(metric)
    found = []
    for weights in draws.weights.astype(int):
        rows = np.concatenate([np.tile(days[day], times) for day, times in enumerate(weights)])
        found.append(function(label[rows], score[rows]))
    return np.array(found)


if __name__ == "__main__":
    main()
