"""The ledger on SQLite and on a real PostgreSQL: once, for ever, and with errors that help."""

import os
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, make_url, text
from sqlalchemy.exc import DBAPIError
from tests.integration.ledger.conftest import (
    FORK,
    START,
    days,
    decision,
    in_processes,
    migrate_to,
    move,
    opened,
    publication,
    week,
)

from keepfit.errors import DecisionError, LedgerError
from keepfit.ledger import (
    Decision,
    Ledger,
    Training,
    migrate,
)
from keepfit.ledger.engine import connect_to, transaction
from keepfit.ledger.migration import _upgrade
from keepfit.ledger.tables import metadata
from keepfit.spec import Window


def test_the_first_decision_on_a_key_stands(ledger: Ledger) -> None:
    first = decision(week(0))
    assert ledger.decide(first) == first
    assert ledger.decide(decision(week(0), verdict="keep", reason="another")) == first
    assert ledger.decisions("churn") == [first]


def test_a_key_that_stands_for_something_else_is_an_error(ledger: Ledger) -> None:
    ledger.decide(decision(week(0)))
    clash = decision(week(1), key=decision(week(0)).key)
    with pytest.raises(DecisionError, match="not for 'churn' and 20130108T000000Z_20130115"):
        ledger.decide(clash)


def test_decisions_are_listed_by_data_time(ledger: Ledger) -> None:
    for number in (2, 0, 1):
        ledger.decide(decision(week(number)))
    ends = [each.window_end for each in ledger.decisions("churn", since=week(0).end)]
    assert ends == [week(1).end, week(2).end]
    assert ledger.decisions("other") == []


def test_run_ids_are_derived_from_the_window_whatever_the_policy() -> None:
    one = decision(week(0))
    assert one.run_id == "decision__20130101T000000Z_20130108T000000Z"
    assert decision(week(1)).run_id != one.run_id


def test_times_come_back_in_utc_whatever_zone_they_had(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    east = timezone(timedelta(hours=9))
    monkeypatch.setenv("TZ", "America/New_York")
    window = Window(week(0).start.astimezone(east), week(0).end.astimezone(east))
    stored = ledger.decide(decision(window))
    assert (stored.window_start, stored.window_end) == (week(0).start, week(0).end)
    assert stored.window_start.tzinfo == UTC
    assert ledger.decisions("churn")[0].decided_at == stored.decided_at


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(LedgerError, match=r"Decision.window_end is .* no time zone"):
        decision(week(0), window_end=datetime(2013, 1, 8))  # noqa: DTZ001


def test_what_is_no_number_becomes_null(ledger: Ledger) -> None:
    odd = {"a": float("nan"), "b": [1.5, float("inf")]}
    ledger.decide(decision(week(0), evidence=odd))
    assert ledger.decisions("churn")[0].evidence == {"a": None, "b": [1.5, None]}


@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
@pytest.mark.parametrize("table", ["publications", "decisions", "trainings", "deployments"])
def test_the_database_itself_refuses_to_change_the_past(
    ledger: Ledger, url: str, change: str, table: str
) -> None:
    ledger.record_publication(publication(week(0), 1))
    ledger.decide(decision(week(0)))
    ledger.record_training(Training("r1", "churn", None, START, "1", "pass", (), {}))
    ledger.record_deployment(move("1", "r1"))
    with (
        opened(url).begin() as connection,
        pytest.raises(DBAPIError, match=f"append-only: {table} takes no"),
    ):
        connection.execute(text(change.format(table, "run_id", "run_id")))


def test_trainings_are_recorded_once_per_run(ledger: Ledger) -> None:
    first = Training("r1", "churn", "key", START, "1", "pass", ("better",), {"auc": 0.7})
    ledger.record_training(first)
    ledger.record_training(Training("r1", "churn", "key", START, "2", "fail", (), {}))
    assert ledger.trainings("churn") == [first]


def test_a_failed_training_that_is_cleared_and_ends_well_counts_as_the_verdict(ledger: Ledger) -> None:
    error = Training("r1", "churn", "key", START, None, "error", ("no memory",), {})
    ledger.record_training(error)
    ledger.record_training(replace(error, reasons=("again",)))
    assert ledger.trainings("churn") == [error]
    verdict = Training("r1", "churn", "key", START, "1", "pass", (), {})
    ledger.record_training(verdict)
    ledger.record_training(replace(error, reasons=("later",)))
    assert ledger.trainings("churn") == [verdict]


def test_two_models_may_train_in_runs_of_one_name(ledger: Ledger) -> None:
    for model in ("churn", "value"):
        ledger.record_training(Training("r1", model, None, START, "1", "pass", (), {}))
    assert [len(ledger.trainings(model)) for model in ("churn", "value")] == [1, 1]


def test_what_was_live_is_known_for_every_time(ledger: Ledger) -> None:
    day = [START + timedelta(days=number) for number in range(5)]
    ledger.record_deployment(move("1", "r1", moved_at=day[1]))
    ledger.record_deployment(move("2", "r2", "1", moved_at=day[3]))
    assert ledger.live("churn", at=day[0]) is None
    live = [ledger.live("churn", at=each) for each in (*day[1:], None)]
    assert [each and each.to_version for each in live] == ["1", "1", "2", "2", "2"]
    assert ledger.live("other") is None
    assert ledger.live("churn", alias="canary") is None


def test_a_run_that_repeats_its_move_changes_nothing_but_a_way_back_is_a_move(ledger: Ledger) -> None:
    ledger.record_deployment(move("1", "r1"))
    ledger.record_deployment(move("1", "r1"))
    ledger.record_deployment(move("2", "r2", "1"))
    ledger.record_deployment(move("1", "back", "2"))
    assert [each.to_version for each in ledger.deployments("churn")] == ["1", "2", "1"]


def test_an_alias_that_was_taken_away_is_live_no_more_but_was(ledger: Ledger) -> None:
    day = [START + timedelta(days=number) for number in range(3)]
    ledger.record_deployment(move("2", "r1", alias="challenger", share=0.1, moved_at=day[0]))
    ledger.record_deployment(move(None, "r2", "2", alias="challenger", moved_at=day[1]))
    live = [ledger.live("churn", at=each, alias="challenger") for each in day[:2]]
    assert [each and (each.to_version, each.share) for each in live] == [("2", 0.1), None]
    assert ledger.live("churn", alias="challenger") is None
    assert ledger.deployments("churn") == []


def test_another_share_of_the_same_version_is_a_move(ledger: Ledger) -> None:
    for share in (0.0, 0.1, 0.1):
        ledger.record_deployment(move("2", "r1", alias="challenger", share=share))
    assert [each.share for each in ledger.deployments("churn", "challenger")] == [0.0, 0.1]


def test_a_mover_whose_clock_is_behind_does_not_turn_history_round(ledger: Ledger) -> None:
    late, early = START + timedelta(days=3), START + timedelta(days=1)
    ledger.record_deployment(move("1", "r1", moved_at=late))
    assert ledger.record_deployment(move("2", "r2", "1", moved_at=early)).moved_at == late
    assert ledger.live("churn", at=early) is None
    now = ledger.live("churn", at=late)
    assert now is not None
    assert now.to_version == "2"


def test_on_postgres_one_mover_of_a_model_keeps_the_others_out(postgres: str) -> None:
    url, wait = postgres.format("postgres"), timedelta(seconds=0.1)
    one, other = Ledger(url), Ledger(url)
    with (
        one.moving("churn", wait) as mine,
        other.moving("value", wait) as of_another_model,
        other.moving("churn", wait) as theirs,
    ):
        assert (mine, theirs, of_another_model) == (True, False, True)
    with other.moving("churn", wait) as theirs:
        assert theirs


def test_moves_recorded_before_there_were_shares_are_kept(url: str) -> None:
    migrate_to(url, "0003_pins")
    older = [column.name for column in metadata.tables["deployments"].columns if column.name != "share"]
    zone = "+00" if url.startswith("postgresql") else ""
    row: dict[str, object] = dict.fromkeys(older) | {
        "model": "churn",
        "alias": "champion",
        "position": 0,
        "to_version": "1",
        "who": "anna",
        "why": "the first",
        "run_id": "r1",
        "moved_at": f"2013-01-01 00:00:00.000000{zone}",
    }
    with opened(url).begin() as connection:
        values = ", ".join(f":{name}" for name in older)
        connection.execute(text(f"INSERT INTO deployments ({', '.join(older)}) VALUES ({values})"), row)
    migrate(url)
    (kept,) = Ledger(url).deployments("churn")
    assert (kept.to_version, kept.share, kept.moved_at) == ("1", None, START)
    Ledger(url).record_deployment(move(None, "r2", "1"))
    assert Ledger(url).live("churn") is None
    with opened(url).begin() as connection, pytest.raises(DBAPIError, match="append-only"):
        connection.execute(text("UPDATE deployments SET who = 'someone else'"))


def test_windows_are_covered_when_publications_leave_no_gap(ledger: Ledger) -> None:
    for version, window in enumerate((days(0, 7), days(14, 21), days(5, 10))):
        ledger.record_publication(publication(window, version))
    assert ledger.covers("orders", days(0, 10))
    assert ledger.covers("orders", days(15, 20))
    assert not ledger.covers("orders", days(9, 15))
    assert not ledger.covers("orders", days(20, 22))
    assert not ledger.covers("other", days(0, 1))
    ledger.record_publication(publication(days(10, 14), 4))
    assert ledger.covers("orders", days(0, 21))
    assert ledger.published_until("orders") == days(0, 21).end


def test_a_snapshot_covers_every_window(ledger: Ledger) -> None:
    assert ledger.published_until("orders") is None
    ledger.record_publication(publication(None, 1))
    assert ledger.covers("orders", days(100, 101))
    assert ledger.published_until("orders") is None


def test_a_publication_recorded_again_is_one(ledger: Ledger) -> None:
    first = publication(week(0), 1)
    ledger.record_publication(first)
    ledger.record_publication(first)
    ledger.record_publication(publication(week(0), 2))
    assert [each.version for each in ledger.publications("orders")] == [1, 2]


@given(
    windows=st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 8)).map(lambda w: days(w[0], w[0] + w[1])),
        max_size=8,
    ),
    asked=st.tuples(st.integers(0, 30), st.integers(1, 8)).map(lambda w: days(w[0], w[0] + w[1])),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_coverage_is_that_of_the_days_published(tmp_path: Path, windows: list[Window], asked: Window) -> None:
    url = f"sqlite:///{tmp_path / os.urandom(6).hex()}"
    migrate(url)
    for version, window in enumerate(windows):
        Ledger(url).record_publication(publication(window, version))

    def of(window: Window) -> set[int]:
        return set(range((window.start - START).days, (window.end - START).days))

    published = set().union(*map(of, windows))
    assert Ledger(url).covers("orders", asked) is (of(asked) <= published)


@given(order=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=25))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_equal_decisions_leaves_one_row_each_and_the_first(
    tmp_path: Path, order: list[tuple[int, int]]
) -> None:
    url = f"sqlite:///{tmp_path / os.urandom(6).hex()}"
    migrate(url)
    hands = [Ledger(url) for _ in range(3)]
    first: dict[int, Decision] = {}
    for number, hand in order:
        asked = decision(week(number), decided_by=f"hand {hand}")
        assert hands[hand].decide(asked) == first.setdefault(number, asked)
    stored = Ledger(url).decisions("churn")
    assert stored == [first[number] for number in sorted(first)]


PROCESSES = 8


def _decide_all(url: str, me: int, answers: Any) -> None:
    own = Ledger(url)
    answers.put([own.decide(decision(week(n), decided_by=str(me))).decided_by for n in range(20)])


def _migrate(url: str) -> None:
    migrate(url)


def _move_many(url: str, me: int) -> None:
    for number in range(5):
        Ledger(url).record_deployment(move(str(number), f"run{me}.{number}"))


def test_eight_processes_that_decide_the_same_agree_on_one(ledger: Ledger, url: str) -> None:
    answers = FORK.Queue()
    ended = in_processes(_decide_all, [(url, number, answers) for number in range(PROCESSES)])
    assert ended == [0] * PROCESSES
    said = [answers.get(timeout=60) for _ in range(PROCESSES)]
    stored = [each.decided_by for each in ledger.decisions("churn")]
    assert len(stored) == 20
    assert said == [stored] * PROCESSES


def test_movers_at_the_same_time_are_put_in_one_order(ledger: Ledger, url: str) -> None:
    assert in_processes(_move_many, [(url, number) for number in range(4)]) == [0] * 4
    assert len({each.run_id for each in ledger.deployments("churn")}) == 20


def test_eight_processes_migrate_once(url: str) -> None:
    assert in_processes(_migrate, [(url,)] * PROCESSES) == [0] * PROCESSES
    assert Ledger(url).decide(decision(week(0))).model == "churn"


def test_a_ledger_made_before_a_fork_works_in_both(ledger: Ledger) -> None:
    ledger.decide(decision(week(0)))
    child = FORK.Process(target=ledger.decide, args=(decision(week(1)),))
    child.start()
    child.join(300)
    assert child.exitcode == 0
    assert len(ledger.decisions("churn")) == 2


def test_the_migration_makes_the_tables_that_the_code_expects(url: str) -> None:
    migrate(url)
    found = inspect(opened(url))
    for table in metadata.sorted_tables:
        columns = {each["name"]: each["nullable"] for each in found.get_columns(table.name)}
        assert columns == {each.name: each.nullable for each in table.columns}
        assert {each["name"] for each in found.get_indexes(table.name)} >= {
            each.name for each in table.indexes
        }


def test_migrating_again_keeps_every_row(ledger: Ledger, url: str) -> None:
    ledger.decide(decision(week(0)))
    migrate(url)
    assert len(ledger.decisions("churn")) == 1


def test_a_ledger_shares_a_database_with_another_that_alembic_migrates(url: str) -> None:
    parsed = make_url(url)
    if parsed.database and parsed.get_backend_name() == "sqlite":
        Path(parsed.database).parent.mkdir()
    with opened(url).begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('of another')"))
    migrate(url)
    assert Ledger(url).decisions("churn") == []


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"There is no ledger at .*point KEEPFIT_LEDGER_URL"):
        Ledger(f"sqlite:///{tmp_path / 'gone.db'}").decisions("churn")
    assert not (tmp_path / "gone.db").exists()


def test_a_database_without_the_tables_says_what_to_do(tmp_path: Path, postgres: str) -> None:
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE other (x)")
    for url in (f"sqlite:///{tmp_path / 'empty.db'}", postgres.format("postgres")):
        with pytest.raises(LedgerError, match=r"no tables of this version .* `keepfit up` makes them"):
            Ledger(url).decisions("churn")


def test_a_database_that_does_not_answer_is_named_without_its_password(postgres: str) -> None:
    with pytest.raises(LedgerError, match=r"does not answer .*`keepfit status`") as caught:
        Ledger("postgresql+psycopg2://me:secret@/x?host=/nowhere").decisions("churn")
    assert "secret" not in str(caught.value)
    with pytest.raises(LedgerError, match='database "nix" does not exist'):
        migrate(postgres.format("nix"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://", "a ledger in memory would forget"),
        ("mysql+pymysql://me:secret@host/db", "not in 'mysql'"),
        ("ledger.db", "KEEPFIT_LEDGER_URL, is no SQLAlchemy URL"),
        ("postgresql://host:port/db", "KEEPFIT_LEDGER_URL, has no host and port that can be read"),
        ("postgresql://[bad", "KEEPFIT_LEDGER_URL, has no host and port that can be read"),
        ("postgresql+nosuch://host/db", "KEEPFIT_LEDGER_URL, is no SQLAlchemy URL of a database known"),
        ("sqlite://ledger.db", "KEEPFIT_LEDGER_URL, names a host, which SQLite has none of"),
    ],
)
def test_a_url_of_something_else_is_refused(url: str, words: str) -> None:
    with pytest.raises(LedgerError, match=words):
        Ledger(url)


def test_an_interrupted_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    (tmp_path / "ledger.db").touch()
    with pytest.raises(KeyboardInterrupt):
        _migrate_and_be_interrupted(url)
    assert inspect(opened(url)).get_table_names() == []
    migrate(url)
    assert Ledger(url).decisions("churn") == []


def _migrate_and_be_interrupted(url: str) -> None:
    with transaction(connect_to(make_url(url)), alone=True) as connection:
        _upgrade(connection)
        raise KeyboardInterrupt
