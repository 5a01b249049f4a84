"""Hold a new champion against the version before it, on the rows it answered, once their labels are known."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.backends.engine import Connection, columns_of, identifier, identifiers, literal, moment
from keepfit.errors import SchemaError
from keepfit.ledger import Deployment
from keepfit.spec import ModelSpec, Window
from keepfit.spec.promotion import WatchSpec
from keepfit.steps.compare import compare
from keepfit.steps.draws import draw
from keepfit.steps.evaluate import CHALLENGER, CHAMPION
from keepfit.steps.figures import figure, signed
from keepfit.steps.labels import Labels
from keepfit.steps.metrics import find_metric, is_higher_better, measure

ROWS = 200_000
"""More rows than these make the answer no surer, since days are drawn, not rows."""


@dataclass(frozen=True)
class Held:
    """How a new champion did beside the version before it."""

    harmful: bool
    reason: str
    """In words, with the numbers."""
    rows: int
    value: float | None = None
    former: float | None = None
    """The version before it, on the same rows."""
    low: float | None = None
    high: float | None = None
    """Where the difference lies."""


def watcher(model: str) -> str:
    """Name who rolls back."""
    return f"{model}__monitor, watch"


def taken_back(moves: Iterable[Deployment], version: str, decision: str | None) -> str | None:
    """Say why a training may not promote a version: the watch has taken it, or one of its decision, back."""
    promoted: dict[str, str | None] = {}
    for move in moves:
        left = move.from_version
        if move.who == watcher(move.model) and left is not None:
            same = decision is not None and promoted.get(left) == decision
            if left == version or same:
                asked = "" if left == version else ", which the same decision asked for,"
                return f"version {left}{asked} was rolled back: {move.why}"
        if move.to_version is not None:
            promoted[move.to_version] = move.decision_key
    return None


def watched_rows(
    connection: Connection,
    predictions: str,
    labels: Labels,
    *,
    version: str,
    features: Sequence[str],
    since: datetime,
    end: datetime,
    delay: timedelta,
) -> pd.DataFrame:
    """Return what a version predicted, with the labels known by now and the features it saw.

    Args:
        connection: The engine, with predictions and labels as tables.
        predictions: The name of the table of the model's predictions.
        labels: The labels.
        version: Whose predictions.
        features: The columns that the version before it takes.
        since: Rows up to then are left out: a training may have seen them.
        end: Nothing known later is looked at.
        delay: How long after a row its label is known.

    Returns:
        `event_time`, `label`, `score` and the features, in the order of time; a part of the rows, drawn by
        key, where they are very many.

    Raises:
        SchemaError: The predictions do not hold a feature.
    """
    there = columns_of(connection, identifier(predictions))
    if gone := [name for name in features if name not in there]:
        raise SchemaError(f"its features {', '.join(gone)} are not among those that version {version} saw")
    named, time = labels.named_by, identifier(labels.time)
    known = f"{time} < {moment(end - delay)}" if labels.own else f"{time} <= {moment(end)}"
    columns = identifiers(dict.fromkeys((*named, "event_time", "score", *features)))
    made = (
        f"SELECT {columns} FROM {identifier(predictions)} WHERE version = {literal(version)} "
        f"AND event_time > {moment(since)} AND event_time < {moment(end - delay)} "
        f"QUALIFY row_number() OVER "
        f"(PARTITION BY {identifiers(named)} ORDER BY event_time DESC, run_id DESC) = 1"
    )
    told = (
        f"SELECT {', '.join(f'{column} AS {identifier(name)}' for name, column in named.items())}, "
        f"{labels.value} AS label FROM {identifier(labels.table)} WHERE {known} "
        f"QUALIFY row_number() OVER (PARTITION BY {', '.join(named.values())} "
        f"ORDER BY {time} DESC, label DESC NULLS LAST) = 1"
    )
    kept = identifiers(("event_time", "label", "score", *features))
    both = f"({made}) JOIN ({told}) USING ({identifiers(named)}) WHERE label IS NOT NULL"
    drawn = f"SELECT * FROM {both} ORDER BY hash({identifiers(named)}) LIMIT {ROWS}"
    found: pd.DataFrame = connection.execute(f"SELECT {kept} FROM ({drawn}) ORDER BY event_time").df()
    return found


def looks(rule: WatchSpec, window: Window) -> int:
    """Return how often a version is looked at while it is watched, if every window is as long as this one."""
    return max(1, math.ceil(rule.period / (window.end - window.start)))


def hold(
    rows: pd.DataFrame, before: NDArray[np.float64], spec: ModelSpec, rule: WatchSpec, times: int
) -> Held:
    """Tell whether a version does harm: whether it is worse than the one before it by more than is allowed.

    The chance that a version which is no worse than that is called harmful at any of its looks is at most
    half of what the gate's confidence leaves: it is shared out among them.

    Args:
        rows: `event_time`, `label` and `score` of each row.
        before: What the version before it gives the same rows.
        spec: The model: its objective, the gate's confidence and how days are drawn.
        rule: How much worse it may be, and how many rows an answer needs.
        times: How often the version is looked at.
    """
    count = len(rows)
    if count < rule.min_rows:
        return Held(False, f"{count:,} labelled rows, {rule.min_rows:,} needed", count)
    draws = draw(rows["event_time"], spec.evaluate.gate, spec.train.seed)
    if needed := draws.too_few():
        return Held(False, f"labelled rows of {draws.days} days, {needed} needed", count)
    name, gate = spec.evaluate.objective, spec.evaluate.gate
    scores = rows.rename(columns={"score": CHALLENGER})
    scores[CHAMPION] = before
    confidence = 1 - (1 - gate.confidence) / times
    found = compare(scores, name, draws, confidence)
    label = rows["label"].to_numpy(np.float64)
    ours, theirs = (
        measure((name,), label, scores[who].to_numpy(np.float64))[name] for who in (CHALLENGER, CHAMPION)
    )
    if not math.isfinite(found.value + found.low + found.high):
        return Held(False, f"{name} cannot be compared on {count:,} labelled rows", count)
    upwards, slack = is_higher_better(find_metric(name)), rule.worse_by * abs(theirs)
    harmful = found.high < -slack if upwards else found.low > slack
    figures = (
        f"{name} {figure(ours)} on {count:,} labelled rows of {draws.days} days, {figure(theirs)} by the "
        f"version before it (difference {signed(found.value)}, {confidence:.1%} interval "
        f"[{signed(found.low)}, {signed(found.high)}])"
    )
    verdict = "is" if harmful else "is not shown to be"
    reason = f"{figures}: it {verdict} worse by more than {rule.worse_by:.0%}"
    return Held(harmful, reason, count, ours, theirs, found.low, found.high)
