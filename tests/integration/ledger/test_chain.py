"""Whoever changes the ledger by hand is found out, on SQLite and on PostgreSQL."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Connection, DateTime, MetaData, Table, Text, text
from sqlalchemy.exc import DBAPIError
from tests.integration.ledger.conftest import (
    FORK,
    START,
    decision,
    migrate_to,
    move,
    opened,
    publication,
    week,
)

from keepfit.ledger import (
    Approval,
    Edit,
    FeatureCheck,
    FeatureLedger,
    Incident,
    IncidentAnswer,
    Ledger,
    Outcome,
    Ruling,
    Training,
    migrate,
)
from keepfit.ledger.migrations.back_fill import back_fill

TABLES = (
    "publications",
    "decisions",
    "trainings",
    "deployments",
    "approvals",
    "rulings",
    "edits",
    "feature_checks",
    "incidents",
    "incident_answers",
    "outcomes",
)
ODD = {"share": 0.1 + 0.2, "naïve": [1, 1.0, None, True], "at": 1e-300, "b": {"z": "ü", "a": -0.0}}


def fill(url: str) -> Ledger:
    """Put something into every table, at times that are the same in every ledger."""
    ledger, features = Ledger(url), FeatureLedger(url)
    for number in range(3):
        window, at = week(number), START + timedelta(seconds=number, microseconds=250_000)
        bounds = window.start, window.end
        ledger.record_publication(replace(publication(window, number), published_at=at))
        ledger.decide(decision(window, evidence=ODD, decided_at=at))
        ledger.record_training(
            Training(f"r{number}", "churn", None, START, "1", "pass", ("ü",), {"auc": 1}, recorded_at=at)
        )
        ledger.record_deployment(move(str(number), f"r{number}", share=1 if number else None, moved_at=at))
        ledger.record_approval(Approval("churn", "1", f"r{number}", "approved", "anna", "", at))
        ledger.rule(
            Ruling("orders", f"{number}{row}", "d", "w", "released", "anna", "r", at) for row in range(5)
        )
        features.record_edit(Edit(number, "d", {"a": [1.5]}, ("view b",), "r", at))
        features.record_check(FeatureCheck("habits", "parity", True, "fit", {}, at, "r", at))
        ledger.open_incident(Incident(f"i{number}", "habits", *bounds, ("a", "b"), 3, "nulls", "sweep", at))
        ledger.answer_incident(IncidentAnswer(f"i{number}", "fault", "anna", "a sensor", at, {"k": "ü"}))
        ledger.record_outcomes(
            Outcome("churn", "1", "champion", *bounds, metric, value, 7, 0.5, "r", at)
            for metric, value in (("auc", 0.1 + 0.2), ("f1", float("nan")), ("gain", 1))
        )
    return ledger


def by_hand(url: str, *statements: str) -> None:
    """Change a ledger as somebody who may do all: the triggers are out of the way."""
    with opened(url).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            wanted = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            for name in connection.execute(text(wanted)).scalars().all():
                connection.execute(text(f"DROP TRIGGER {name}"))
        for statement in statements:
            connection.execute(text(statement))


@pytest.fixture
def filled(url: str) -> Ledger:
    migrate(url)
    return fill(url)


def test_a_ledger_that_nobody_touched_is_whole(filled: Ledger) -> None:
    found = filled.audit()
    assert found.findings == ()
    assert found.links == 3 * len(TABLES)
    assert filled.audit(found.head).findings == ()


def _decide_until(url: str, seen: Any) -> None:
    for number in count():
        Ledger(url).decide(decision(week(number)))
        if seen.is_set():
            return


def test_an_audit_sees_one_moment_while_others_write(ledger: Ledger, url: str) -> None:
    seen = FORK.Event()
    writer = FORK.Process(target=_decide_until, args=(url, seen), daemon=True)
    writer.start()
    audits = [ledger.audit()]
    while len({each.links for each in audits}) < 10:
        assert writer.is_alive()
        audits.append(ledger.audit(audits[-1].head))
    seen.set()
    writer.join()
    assert writer.exitcode == 0
    last = ledger.audit(audits[-1].head)
    assert [each.findings for each in (*audits, last)] == [()] * (len(audits) + 1)
    assert last.links == len(ledger.decisions("churn"))


def test_an_empty_ledger_is_whole(ledger: Ledger) -> None:
    empty = ledger.audit()
    assert (empty.links, empty.findings) == (0, ())
    ledger.decide(decision(week(0)))
    assert ledger.audit(empty.head).findings == ()


def test_sqlite_and_postgres_seal_the_same_rows_alike(tmp_path: Path, new_place: Callable[[], str]) -> None:
    heads = []
    for url in (f"sqlite:///{tmp_path / 'ledger.db'}", new_place()):
        migrate(url)
        heads.append(fill(url).audit().head)
    assert heads[0] == heads[1]


CHANGED = {
    "publications": ("rows = 11", r"publications, row \[2\]: changed since link 11 sealed it"),
    "decisions": ("verdict = 'keep'", r"decisions, row \[\"churn:abc:2013.*\"\]: changed since link 12"),
    "trainings": ("metrics = '{}'", r"trainings, row \[\"churn\", \"r1\", false\]: changed"),
    "deployments": ("why = 'because'", r"deployments, row \[\"churn\", \"champion\", 1\]: changed"),
    "approvals": ("answer = 'rejected'", r"approvals, row \[2\]: changed"),
    "rulings": ("ruling = 'dropped'", r"rulings, rows 6 to 10, which link 16 sealed together: one was ch"),
    "edits": ("digest = 'e'", r"edits, row \[1\]: changed"),
    "feature_checks": ("reason = 'unfit'", r"feature_checks, row \[2\]: changed"),
    "incidents": ("models = 4", r"incidents, row \[\"i1\"\]: changed"),
    "incident_answers": ("answer = 'real'", r"incident_answers, row \[\"i1\"\]: changed"),
    "outcomes": ("value = 0.4", r"outcomes, rows 4 to 6, which link 21 sealed together: one was changed"),
}
ONE = {
    "publications": "id = 2",
    "decisions": "key LIKE '%20130108T000000Z_%'",
    "trainings": "run_id = 'r1'",
    "deployments": "position = 1",
    "approvals": "id = 2",
    "rulings": "id = 7",
    "edits": "position = 1",
    "feature_checks": "id = 2",
    "incidents": "key = 'i1'",
    "incident_answers": "incident_key = 'i1'",
    "outcomes": "id = 5",
}


def test_a_row_that_was_changed_is_named(filled: Ledger, url: str) -> None:
    by_hand(url, *(f"UPDATE {table} SET {CHANGED[table][0]} WHERE {ONE[table]}" for table in TABLES))
    found = filled.audit().findings
    assert len(found) == len(TABLES)
    for _, words in CHANGED.values():
        assert len([each for each in found if re.search(words, each)]) == 1
    advice = "Put it right from a backup, and see who but keepfit may write to this database."
    assert all(each.endswith(advice) for each in found)


def test_a_row_that_was_removed_is_named(filled: Ledger, url: str) -> None:
    by_hand(url, *(f"DELETE FROM {table} WHERE {ONE[table]}" for table in reversed(TABLES)))
    found = filled.audit().findings
    assert len(found) == len(TABLES)
    for table in TABLES:
        words = rf"^{table}, row.*(removed, though link \d+ seals it|sealed together: one was)"
        assert len([each for each in found if re.search(words, each)]) == 1


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "INSERT INTO approvals SELECT 99, model, version, run_id, answer, 'me', why, opened_at "
            "FROM approvals, incidents WHERE id = 1 AND key = 'i2'",
            "approvals, row [99]: put in by hand, no link seals it.",
        ),
        (
            "INSERT INTO rulings SELECT 99, dataset, 'new', digest, window, ruling, who, run_id, ruled_at "
            "FROM rulings WHERE id = 1",
            "rulings, row 99: put in by hand, no link seals it.",
        ),
        ("UPDATE links SET sealed = 'x' WHERE position = 3", "Link 3 of the chain (deployments"),
        ("UPDATE links SET digest = 'x' WHERE position = 3", "Link 3 of the chain (deployments"),
        ("DELETE FROM links WHERE position IN (3, 4)", "The links 3 to 4 of the chain: gone."),
        ("DELETE FROM links WHERE position = 0", "The link 0 of the chain: gone."),
        ("DELETE FROM links WHERE position = 32", "outcomes, row 7: put in by hand, no link seals it."),
    ],
)
def test_what_was_done_to_links_or_without_them_is_told(
    filled: Ledger, url: str, statement: str, words: str
) -> None:
    by_hand(url, statement.replace(" window,", ' "window",'))
    assert words in filled.audit().findings[0]


def test_links_in_another_order_are_told(filled: Ledger, url: str) -> None:
    places = ((5, -1), (6, 5), (-1, 6))
    by_hand(url, *(f"UPDATE links SET position = {to} WHERE position = {at}" for at, to in places))
    found = filled.audit().findings
    assert found[0].startswith("Link 5 of the chain")
    assert "changed, or put in the place of another." in found[0]


def test_a_value_that_its_column_cannot_hold_is_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate(url)
    fill(url)
    by_hand(url, "UPDATE outcomes SET window_end = 'soon'", "UPDATE decisions SET evidence = '{'")
    decisions, outcomes = Ledger(url).audit().findings
    assert decisions.startswith("decisions: a row holds what its column cannot, so no row after it could be")
    assert outcomes.startswith("outcomes: a row holds what its column cannot")


def test_a_text_and_a_place_that_are_none_are_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate(url)
    fill(url)
    by_hand(
        url,
        "UPDATE decisions SET reason = CAST(x'ff41' AS TEXT)",
        "UPDATE rulings SET who = CAST(x'ff' AS TEXT)",
    )
    decisions, rulings = Ledger(url).audit().findings
    assert decisions.startswith("decisions: a row holds what its column cannot")
    assert "Could not decode to UTF-8 column 'reason')" in decisions
    assert rulings.startswith("rulings: a row holds what its column cannot")
    by_hand(url, "UPDATE links SET position = 'last' WHERE position = 32")
    assert "Link 'last' of the chain" in Ledger(url).audit().findings[0]


def test_an_end_that_was_cut_off_is_told_by_the_head_that_was_noted(filled: Ledger, url: str) -> None:
    noted = filled.audit().head
    by_hand(url, "DELETE FROM links WHERE position = 32", "DELETE FROM outcomes WHERE id > 6")
    assert filled.audit().findings == ()
    (found,) = filled.audit(noted).findings
    assert found.startswith(f"The head {noted}, which was noted earlier: not in the chain")


def test_links_that_were_all_made_anew_are_told_by_the_head_that_was_noted(ledger: Ledger, url: str) -> None:
    for number in range(3):
        ledger.decide(decision(week(number)))
    noted = ledger.audit().head
    by_hand(url, "UPDATE decisions SET reason = 'none'", "DELETE FROM links")
    with opened(url).begin() as connection:
        back_fill(connection)
    assert ledger.audit().findings == ()
    assert "so the end was cut off, or links were made anew" in ledger.audit(noted).findings[0]


@pytest.mark.parametrize("table", ["links", "incidents", "incident_answers", "outcomes"])
def test_the_database_refuses_to_change_what_came_with_the_chain(
    filled: Ledger, url: str, table: str
) -> None:
    key = {"links": "position", "incidents": "key", "incident_answers": "incident_key", "outcomes": "id"}
    for change in (f"DELETE FROM {table}", f"UPDATE {table} SET {key[table]} = {key[table]}"):
        with (
            opened(url).begin() as connection,
            pytest.raises(DBAPIError, match=f"append-only: {table} takes no"),
        ):
            connection.execute(text(change))
    assert filled.audit().findings == ()


def test_rows_from_before_the_chain_are_sealed_by_the_migration(url: str) -> None:
    migrate_to(url, "0005_approvals")
    old = TABLES[:8]
    with opened(url).begin() as connection:
        for name in old:
            _put_in_rows(connection, Table(name, MetaData(), autoload_with=connection))
    migrate(url)
    ledger = Ledger(url)
    assert ledger.audit().findings == ()
    assert ledger.audit().links == 2 * len(old) - 1, "rulings have one link together"
    assert [each.incident_key for each in ledger.decisions("text 0")] == [None]
    ledger.decide(decision(week(0)))
    assert ledger.audit().findings == ()
    by_hand(url, "UPDATE decisions SET reason = 'another'")
    assert len(ledger.audit().findings) == 3


def _put_in_rows(connection: Connection, table: Table) -> None:
    """Put two rows into a table of an older version, whatever its columns are."""

    def value(kind: Any, number: int) -> Any:
        if isinstance(kind, DateTime):
            at = START + timedelta(weeks=number, microseconds=number)
            return at if connection.dialect.name == "postgresql" else at.replace(tzinfo=None)
        if isinstance(kind, JSON):
            return ODD
        if isinstance(kind, Boolean):
            return bool(number)
        return f"text {number}" if isinstance(kind, Text) else number

    for number in range(2):
        values = {column.name: value(column.type, number) for column in table.columns}
        connection.execute(table.insert().values(values))
