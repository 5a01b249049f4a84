"""Predictions and labels, batch and online: each joined once, whatever comes twice, late or revised."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.backends.engine import Connection, engine
from keepfit.backends.log_compaction import each_once
from keepfit.backends.log_rows import Entry, LogTable
from keepfit.spec import Window
from keepfit.spec.project import EngineSpec
from keepfit.steps.join_labels import LabelJoin, RoleJoin, join_labels
from keepfit.steps.labels import Labels, count_between, count_labels
from keepfit.steps.made_predictions import MadePredictions

START = datetime(2024, 5, 6, tzinfo=UTC)
WINDOWS = [Window(START + timedelta(days=day), START + timedelta(days=day + 1)) for day in range(4)]
MOMENT = pa.timestamp("us", "UTC")
BATCH = {"id": pa.int64(), "event_time": MOMENT, "score": pa.float64(), "version": pa.string()}
BATCH |= {"role": pa.string(), "run_id": pa.string()}
LABELS = {"id": pa.int64(), "known": MOMENT, "truth": pa.float64()}
Row = dict[str, Any]
Joined = tuple[LabelJoin, list[Row]]


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


@dataclass(frozen=True)
class World:
    """What was predicted and what became known."""

    batch: list[Row]
    online: list[Entry]
    labels: list[Row]
    own: bool
    delay: timedelta

    @contextmanager
    def opened(self, folder: Path, files: int = 2) -> Iterator[tuple[Connection, MadePredictions]]:
        """Put it before the engine: tables of batches, the log in files."""
        with engine(EngineSpec(threads=1), folder) as connection:
            for name, shadow in (("predictions", False), ("shadow", True)):
                rows = [each for each in self.batch if (each["role"] == "shadow") == shadow]
                connection.register(name, pa.Table.from_pylist(rows, pa.schema(list(BATCH.items()))))
            connection.register("labels", pa.Table.from_pylist(self.labels, pa.schema(list(LABELS.items()))))
            parts = [part for number in range(files) if (part := self.online[number::files])]
            for number, part in enumerate(parts):
                pq.write_table(
                    LogTable({"id": "int64"}, {"size": "float64"}).of(part), folder / f"{number}.parquet"
                )
            if parts:
                read = each_once([str(each) for each in sorted(folder.glob("*.parquet"))])
                connection.execute(f"CREATE TEMP VIEW online AS {read}")
            yield connection, MadePredictions(("predictions", "shadow"), "online" if parts else None)

    def joined(self, window: Window) -> Joined:
        with TemporaryDirectory() as folder, self.opened(Path(folder)) as (connection, made):
            labels = Labels("labels", ("id",), "truth", "known", own=self.own)
            out = Path(folder) / "out"
            done = join_labels(connection, made, labels, window=window, delay=self.delay, out=out)
            return done, pq.read_table(out).to_pylist()


def by_hand(world: World, window: Window) -> Joined:
    """Join row by row, without the engine."""
    due = window.shifted(-world.delay)
    first = due.start - timedelta(days=30)
    made = [*map(batch_row, world.batch), *once(world.online)]
    keyed = [each for each in made if each["id"] is not None]
    found = []
    for each in keyed:
        if not first <= each["event_time"] < due.end:
            continue
        is_due = each["event_time"] >= due.start
        row_time = row_time_of(each, world) if world.own else None
        found.append({**each, "due": is_due, "row_time": row_time, **known(each, row_time, world, window)})
    counted = latest(found, own=world.own)
    rows = [each for each in counted if each["label"] is not None and (each["due"] or each["caught_up"])]
    without = sum(each["id"] is None and each["event_time"] in Span(due) for each in made)
    seen = [each for each in keyed if each["event_time"] in Span(Window(first, window.end))]
    done = summed_up(counted, unpredicted=never(world, window, due, seen), without_key=without)
    done = replace(
        done, young=all(each["event_time"] not in Span(Window(first, due.start)) for each in keyed)
    )
    columns = ("id", "event_time", "score", "version", "role", "label")
    return done, [{name: each[name] for name in columns} for each in rows]


@dataclass(frozen=True)
class Span:
    window: Window

    def __contains__(self, moment: datetime) -> bool:
        return self.window.start <= moment < self.window.end


def batch_row(row: Row) -> Row:
    return {**row, "asked_at": row["event_time"], "made_by": row["run_id"], "exact": True}


def once(online: Iterable[Entry]) -> Iterator[Row]:
    for entry in {each.log_id: each for each in online}.values():
        yield {
            "id": entry.key.get("id"),
            "event_time": entry.event_time or entry.at,
            "score": entry.score,
            "version": entry.version,
            "role": entry.role,
            "asked_at": entry.at,
            "made_by": f"{entry.request_id}/{entry.row:09}/{entry.log_id}",
            "exact": False,
        }


def row_time_of(row: Row, world: World) -> datetime | None:
    if row["exact"]:
        moment: datetime = row["event_time"]
        return moment
    times = {each["known"] for each in world.labels if each["id"] == row["id"]}
    near = [(abs(time - row["event_time"]), time) for time in times]
    near = [each for each in near if each[0] <= timedelta(days=1)]
    return min(near)[1] if near else None


def known(row: Row, row_time: datetime | None, world: World, window: Window) -> Row:
    theirs = [each for each in world.labels if each["id"] == row["id"]]
    if world.own:
        theirs = [
            each for each in theirs if each["known"] == row_time and row_time < window.end - world.delay
        ]
    else:
        theirs = [each for each in theirs if each["known"] < window.end]
    values = [(each["known"], finite(each["truth"])) for each in theirs]
    label = max(values, key=lambda each: (each[0], -1 if each[1] is None else each[1]))[1] if values else None
    first = min((moment for moment, value in values if value is not None), default=None)
    fresh = first is not None and first >= window.start
    if world.own:
        fresh = bool(values) and row_time is not None and row_time >= window.start - world.delay
    late = row["event_time"] < window.start - world.delay
    return {"label": label, "found": bool(values), "caught_up": late and fresh}


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def latest(rows: list[Row], *, own: bool) -> list[Row]:
    def same(row: Row) -> tuple[Any, ...]:
        time = (row["row_time"] or row["event_time"],) if own else ()
        return (row["id"], *time, row["version"], row["role"], row["due"])

    ordered = sorted(rows, key=lambda row: (row["asked_at"], not row["exact"], row["made_by"]))
    return list({same(row): row for row in ordered}.values())


def never(world: World, window: Window, due: Window, seen: list[Row]) -> int:
    usable = [each for each in world.labels if finite(each["truth"]) is not None]
    if world.own:
        fresh = {(each["id"], each["known"]) for each in usable if each["known"] in Span(due)}
        exact = {(each["id"], each["event_time"]) for each in seen if each["exact"]}
        near = {each["id"] for each in seen if not each["exact"]}
        return sum(each not in exact and each[0] not in near for each in fresh)
    first: dict[int, datetime] = {}
    for each in sorted(usable, key=lambda label: label["known"], reverse=True):
        first[each["id"]] = each["known"]
    became = {key for key, moment in first.items() if window.start <= moment < window.end}
    return len(became - {each["id"] for each in seen})


def summed_up(rows: list[Row], *, unpredicted: int, without_key: int) -> LabelJoin:
    roles = []
    for role, version in sorted({(each["role"], each["version"]) for each in rows}):
        mine = [each for each in rows if (each["role"], each["version"]) == (role, version)]
        due = [each for each in mine if each["due"]]
        caught = sum(each["caught_up"] and each["label"] is not None for each in mine)
        if due or caught:
            roles.append(RoleJoin(role, version, *counts(due), caught, share(*counts(due)[1::-1])))
    answered = [each for each in roles if each.role != "shadow"]
    made, labelled, null, late = (
        sum(getattr(each, name) for each in answered) for name in ("predictions", "labelled", "null", "late")
    )
    caught = sum(each.caught_up for each in answered)
    known_share = share(labelled, made)
    return LabelJoin(made, labelled, null, late, known_share, caught, unpredicted, without_key, tuple(roles))


def counts(rows: list[Row]) -> tuple[int, int, int, int]:
    labelled = sum(each["label"] is not None for each in rows)
    null = sum(each["found"] and each["label"] is None for each in rows)
    return len(rows), labelled, null, len(rows) - labelled - null


def share(labelled: int, predictions: int) -> float | None:
    return labelled / predictions if predictions else None


HOURS = st.sampled_from(range(-12, 84, 6))
IDS, VERSIONS = st.integers(1, 2), st.sampled_from(["1", "2"])


@st.composite
def worlds(draw: Callable[[Any], Any]) -> World:
    """Draw predictions and labels with everything that goes wrong, in any order."""
    batch = draw(
        st.lists(
            st.tuples(IDS, HOURS, VERSIONS, st.sampled_from(["champion", "shadow"])), min_size=2, max_size=8
        )
    )
    requests = st.tuples(
        st.integers(1, 5),
        st.integers(0, 1),
        HOURS,
        st.one_of(st.none(), IDS),
        st.one_of(st.none(), HOURS),
        VERSIONS,
        st.sampled_from(["champion", "challenger", "shadow"]),
    )
    online = draw(st.lists(requests, min_size=2, max_size=10))
    values = st.sampled_from([0.0, 1.0, 2.0, 3.0, None, math.nan])
    labels = draw(st.lists(st.tuples(IDS, HOURS, values), min_size=4, max_size=12))
    again = draw(st.lists(st.sampled_from(online), max_size=3)) if online else []
    scores = iter(range(1000))
    asked = [entry(next(scores), each) for each in (*online, *again)]
    written_twice = draw(st.lists(st.sampled_from(asked), max_size=3))
    return World(
        batch=[
            {"id": key, "event_time": at(hour), "score": next(scores), "version": version, "role": role}
            | {"run_id": f"p{number}"}
            for number, (key, hour, version, role) in enumerate(batch)
        ],
        online=draw(st.permutations([*asked, *written_twice])),
        labels=draw(
            st.permutations([{"id": key, "known": at(h), "truth": value} for key, h, value in labels])
        ),
        own=draw(st.booleans()),
        delay=timedelta(hours=draw(st.sampled_from([0, 6, 30]))),
    )


def entry(score: float, asked: tuple[int, int, int, int | None, int | None, str, str]) -> Entry:
    request, row, hour, key, event, version, role = asked
    named: Mapping[str, Any] = {} if key is None else {"id": key}
    moment = None if event is None else at(event)
    return Entry(f"r{request}", at(hour), version, role, named, (1.0,), score, row, moment, f"e{score}")


def ordered(rows: list[Row]) -> list[Row]:
    return sorted(
        rows, key=lambda row: (row["event_time"], row["id"], row["role"], row["version"], row["score"])
    )


@settings(max_examples=30, deadline=None)
@given(worlds())
def test_each_prediction_is_joined_as_by_hand_and_once_in_all_windows(world: World) -> None:
    seen: list[float] = []
    for window in WINDOWS:
        (done, rows), (expected, by_rows) = world.joined(window), by_hand(world, window)
        assert done == expected
        assert ordered(rows) == ordered(by_rows)
        seen += [row["score"] for row in rows]
    assert len(seen) == len(set(seen))


def world(
    *online: Entry,
    batch: Iterable[tuple[int, float, str, float]] = (),
    labels: Mapping[int, float],
    **other: Any,
) -> World:
    """Rows are asked for at any hour of the first day, and their labels known when it is noon."""
    rows = [
        {"id": key, "event_time": at(hour), "score": score, "version": "1", "role": role, "run_id": "p"}
        for key, hour, role, score in batch
    ]
    known_at_noon = [{"id": key, "known": at(12), "truth": truth} for key, truth in labels.items()]
    settings: dict[str, Any] = {"own": False, "delay": timedelta(0)} | other
    return World(rows, [*online], known_at_noon, **settings)


def asked(score: float, hour: float, **other: Any) -> Entry:
    given: dict[str, Any] = {"request_id": f"r{score}", "role": "champion", "key": {"id": 1}}
    return Entry(at=at(hour), version="1", features=(1.0,), score=score, **given | other)


def scores(joined: Joined) -> list[float]:
    return sorted(row["score"] for row in joined[1])


def test_of_a_row_asked_for_again_the_last_answer_counts_and_a_retried_request_answers_once() -> None:
    twice = (asked(0.1, 1), asked(0.2, 3), asked(0.3, 2))
    assert scores(world(*twice, labels={1: 1}).joined(WINDOWS[0])) == [0.2]
    retried = [asked(score, hour, request_id="same") for score, hour in ((0.5, 5), (0.4, 4), (0.6, 6))]
    assert scores(world(*retried, *retried, labels={1: 1}).joined(WINDOWS[0])) == [0.6]


def test_what_was_answered_online_goes_before_what_a_batch_said_of_the_same_moment() -> None:
    both = world(asked(0.2, 3), batch=[(1, 3, "champion", 0.1), (2, 3, "champion", 0.7)], labels={1: 1, 2: 0})
    assert scores(both.joined(WINDOWS[0])) == [0.2, 0.7]


def test_what_is_scored_beside_is_measured_and_does_not_count_as_answered() -> None:
    scored = [(1, 1, "champion", 0.1), (2, 1, "champion", 0.2), (1, 1, "shadow", 0.3)]
    done, rows = world(asked(0.4, 2, role="challenger", key={"id": 3}), batch=scored, labels={1: 1}).joined(
        WINDOWS[0]
    )
    assert (done.predictions, done.labelled, done.maturity) == (3, 1, 1 / 3)
    assert [(each.role, each.predictions, each.maturity) for each in done.roles] == [
        ("challenger", 1, 0),
        ("champion", 2, 0.5),
        ("shadow", 1, 1),
    ]
    assert {(row["role"], row["score"]) for row in rows} == {("champion", 0.1), ("shadow", 0.3)}
    assert str(done) == "1 of 3 predictions labelled, 33.3%; 2 labels are late, 0 empty"


def test_labels_of_nobody_and_requests_of_nobody_are_counted_and_told() -> None:
    done, _ = world(asked(0.1, 1), asked(0.2, 1, key={}), labels={1: 1, 7: 0, 8: 1}).joined(WINDOWS[0])
    assert (done.labelled, done.unpredicted, done.without_key) == (1, 2, 1)
    never, keyless = done.warnings()
    assert never.startswith("2 labels became known of rows that were never predicted.")
    assert keyless == (
        "1 online predictions cannot be labelled: their requests did not give the row's whole key."
    )


def test_labels_of_before_a_models_first_predictions_are_not_blamed_on_the_window() -> None:
    first = [(1, 1, "champion", 0.1)]
    young, _ = world(batch=first, labels={1: 1, 7: 0}).joined(WINDOWS[0])
    older, _ = world(batch=[*first, (2, -20, "champion", 0.1)], labels={1: 1, 7: 0}).joined(WINDOWS[0])
    assert list(young.warnings()) == [
        "1 labels became known of rows that were never predicted. They count for nothing here. They may be "
        "of rows from before the model's first predictions, since nothing older was predicted."
    ]
    assert list(older.warnings()) == [
        "1 labels became known of rows that were never predicted. They count for nothing here. Was the "
        "window predicted before all its rows had come?"
    ]


def test_a_label_that_comes_late_is_joined_in_the_window_it_comes_in() -> None:
    late = world(batch=[(1, -20, "champion", 0.1)], labels={1: 1})
    done, rows = late.joined(WINDOWS[0])
    assert (done.predictions, done.caught_up, done.maturity, len(rows)) == (0, 1, None, 1)
    assert str(done) == (
        "no prediction has a label that should be known by now; 1 late ones of earlier windows came"
    )


def test_a_request_without_the_rows_time_is_about_the_row_a_day_away_at_most() -> None:
    for hour, rows in ((-13, 0), (-12, 1), (12, 1), (23, 1)):
        about_noon = world(asked(0.1, hour), labels={1: 1}, own=True)
        assert len(about_noon.joined(WINDOWS[0])[1]) == rows


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.floats(-6, 102, width=16), st.none() | st.just(1.0)), max_size=30
    ),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_labelled_row_counts_once_from_a_window_to_another_however_often_it_was_labelled(
    told: list[tuple[int, float, float | None]], own: bool
) -> None:
    rows: list[Row] = [{"id": one, "known": at(hours), "truth": truth} for one, hours, truth in told]
    with (
        TemporaryDirectory() as folder,
        World([], [], rows, own, timedelta()).opened(Path(folder)) as (connection, _),
    ):
        labels = Labels("labels", ("id",), "truth", "known", own=own)
        found = count_between(connection, labels, WINDOWS)
        one = [count_labels(connection, labels, each) for each in WINDOWS]
    assert one == [found[number, number] for number in range(4)]
    for (first, last), count in found.items():
        between = [
            each
            for each in rows
            if each["truth"] and WINDOWS[first].start <= each["known"] < WINDOWS[last].end
        ]
        named = {(each["id"], each["known"] if own else None) for each in between}
        assert count == len(named)
