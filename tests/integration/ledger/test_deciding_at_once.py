"""Many workers decide the same at once, and some are killed: nothing is lost, nothing is done twice."""

import os
import random
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from tests.integration.ledger.conftest import START, days, decision, in_processes, week

from keepfit.errors import DecisionError, LedgerError
from keepfit.ledger import Decision, Incident, Ledger, Past, decision_key, engine, incident_key

WINDOWS, WORKERS = 12, 6
KILLED = -signal.SIGKILL
STEPS: dict[str, tuple[str, str]] = {
    "before the row": ("before_cursor_execute", "INSERT INTO decisions"),
    "between the row and its link": ("after_cursor_execute", "INSERT INTO decisions"),
    "between the link and the commit": ("after_cursor_execute", "INSERT INTO links"),
}


def die_at(step: str) -> None:
    """Kill this process, as the kernel does, as soon as it comes to a step in the database."""
    if step in STEPS:
        moment, statement = STEPS[step]

        @event.listens_for(Engine, moment)
        def _die(_connection: Any, _cursor: Any, said: str, *_: Any) -> None:
            if said.startswith(statement):
                os.kill(os.getpid(), signal.SIGKILL)


def trigger(runs: Path, run_id: str | None) -> None:
    """Start a run as Airflow does: one of a name that is there is refused."""
    with closing(sqlite3.connect(runs, timeout=60)) as connection, connection:
        connection.execute("INSERT OR IGNORE INTO runs VALUES (?)", (run_id,))


def work(url: str, runs: Path, me: int, step: str) -> None:
    """Take every window twice, in an order of one's own."""
    die_at(step)
    ledger, order = Ledger(url), [*range(WINDOWS)] * 2
    random.Random(me).shuffle(order)  # noqa: S311
    for number in order:
        made: list[Decision] = []

        def make(_: Past, number: int = number, made: list[Decision] = made) -> Decision:
            made.append(decision(week(number), decided_by=str(me)))
            return made[0]

        stands = ledger.decide_once(decision(week(number)).key, make)
        if made and step == "between the commit and the run":
            os.kill(os.getpid(), signal.SIGKILL)
        if made:
            # Whoever finds the decision made leaves the run to him who made it: the sweep looks after both.
            trigger(runs, stands.run_id)


@pytest.mark.parametrize("step", [*STEPS, "between the commit and the run"])
def test_killed_workers_lose_no_decision_and_double_none(
    ledger: Ledger, url: str, tmp_path: Path, step: str
) -> None:
    runs = tmp_path / "runs.db"
    with closing(sqlite3.connect(runs)) as connection, connection:
        connection.execute("CREATE TABLE runs (run_id TEXT PRIMARY KEY)")
    ended = in_processes(work, [(url, runs, me, step) for me in range(WORKERS)])
    assert KILLED in ended
    assert in_processes(work, [(url, runs, me, "") for me in range(WORKERS)]) == [0] * WORKERS
    stored = ledger.decisions("churn")
    assert [each.window for each in stored] == [week(number) for number in range(WINDOWS)]
    found = ledger.audit()
    assert (found.links, found.findings) == (WINDOWS, ())
    for left in ledger.unstarted(before=datetime.now(UTC)):
        trigger(runs, left.run_id)
    with closing(sqlite3.connect(runs)) as connection:
        started = connection.execute("SELECT run_id FROM runs ORDER BY run_id").fetchall()
    assert started == [(each.run_id,) for each in stored]


def spend(url: str, me: int, allowed: Callable[[Past, str], bool]) -> None:
    """Decide to train, for a model and a window of one's own, where the budget allows it."""
    for number in range(6):
        model, window = f"model {number % 3}", days(me * 10 + number, me * 10 + number + 1)

        def make(past: Past, model: str = model, window: Any = window) -> Decision:
            verdict = "retrain" if allowed(past, model) else "keep"
            return decision(window, key=decision_key(model, "abc", window), model=model, verdict=verdict)

        Ledger(url).decide_once(decision_key(model, "abc", window), make)


def once_a_model(past: Past, model: str) -> bool:
    return not [each for each in past.decisions(model) if each.verdict == "retrain"]


def four_in_all(past: Past, _: str) -> bool:
    return len(past.asked(START, days(0, 1000).end)) < 4


def test_a_model_s_budget_is_not_exceeded_by_workers_at_once(ledger: Ledger, url: str) -> None:
    assert in_processes(spend, [(url, me, once_a_model) for me in range(WORKERS)]) == [0] * WORKERS
    for number in range(3):
        said = [each.verdict for each in ledger.decisions(f"model {number}")]
        assert (len(said), said.count("retrain")) == (WORKERS * 2, 1)


def test_a_fleet_s_budget_is_not_exceeded_by_workers_at_once(ledger: Ledger, url: str) -> None:
    assert in_processes(spend, [(url, me, four_in_all) for me in range(WORKERS)]) == [0] * WORKERS
    said = [each.verdict for number in range(3) for each in ledger.decisions(f"model {number}")]
    assert (len(said), said.count("retrain")) == (WORKERS * 6, 4)


def test_what_stands_is_returned_and_nothing_is_made_anew(ledger: Ledger) -> None:
    first = ledger.decide(decision(week(0)))

    def make(_: Past) -> Decision:
        raise AssertionError("made anew")

    assert ledger.decide_once(first.key, make) == first


def test_a_decision_of_another_key_than_was_asked_for_is_refused(ledger: Ledger) -> None:
    with pytest.raises(DecisionError, match=r"where 'churn:abc:other' was asked for. Make both with"):
        ledger.decide_once("churn:abc:other", lambda _: decision(week(0)))
    assert ledger.decisions("churn") == []


def test_a_held_decision_and_its_incident_are_kept_together_or_not_at_all(ledger: Ledger) -> None:
    key = incident_key("habits", week(0))
    bounds = week(0).start, week(0).end
    seen = Incident(key, "habits", *bounds, ("visits",), 3, "nulls in visits", "sweep")

    def make(past: Past, broken: bool) -> Decision:
        opened = past.open_incident(seen)
        if broken:
            raise RuntimeError("out of memory")
        return decision(week(0), verdict="held", run_id=None, incident_key=opened.key)

    own = decision(week(0)).key
    with pytest.raises(RuntimeError, match="out of memory"):
        ledger.decide_once(own, lambda past: make(past, True))
    assert ledger.incidents() == []
    held = ledger.decide_once(own, lambda past: make(past, False))
    assert ledger.incidents() == [seen]
    assert ledger.held(key) == [held]
    assert ledger.unstarted(before=datetime.now(UTC)) == []


def test_a_worker_that_hangs_is_waited_for_no_longer_than_is_said(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_MS", 200)
    with (
        engine.transaction(engine.connect_to(engine.parse_url(url)), alone=True),
        pytest.raises(LedgerError, match=r"does not answer .*(locked|lock timeout)"),
    ):
        Ledger(url).decide(decision(week(0)))
    assert ledger.decide(decision(week(0))).verdict == "retrain"
