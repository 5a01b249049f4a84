"""From a decision to what came of it, and incidents that wait for an answer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from tests.integration.ledger.conftest import START, decision, move, week

from keepfit.errors import LedgerError
from keepfit.ledger import (
    Decision,
    Incident,
    IncidentAnswer,
    Ledger,
    LoopRow,
    Outcome,
    Training,
    train_run_id,
)


def outcome(
    version: str,
    number: int,
    value: float | None,
    rows: int = 10,
    *,
    model: str = "churn",
    role: str = "champion",
    metric: str = "log_loss",
) -> Outcome:
    at = week(number)
    return Outcome(model, version, role, at.start, at.end, metric, value, rows, 1.0, "r")


def train(
    ledger: Ledger, number: int, version: str | None, verdict: Literal["pass", "error"] = "pass"
) -> None:
    stands = ledger.decide(decision(week(number)))
    run, until = str(stands.run_id), stands.window_end
    ledger.record_training(Training(run, "churn", stands.key, until, version, verdict, (), {}))


@pytest.fixture
def loop(ledger: Ledger) -> dict[int, LoopRow]:
    """Week 1 led to version 2, taken back; 2 was kept; 3 failed; 4 is at work; 5 led to version 3."""
    day = [START + timedelta(days=number) for number in range(9)]
    ledger.record_deployment(move("1", "by hand", moved_at=day[0]))
    train(ledger, 1, "2")
    ledger.record_deployment(move("2", train_run_id(week(1)), "1", moved_at=day[1]))
    ledger.decide(decision(week(2), verdict="keep", trigger="none", run_id=None))
    ledger.record_deployment(move("1", "back", "2", moved_at=day[2], who="anna"))
    train(ledger, 3, None, "error")
    ledger.decide(decision(week(4)))
    train(ledger, 5, "3")
    ledger.record_deployment(move("3", train_run_id(week(5)), "1", moved_at=day[5]))
    ledger.record_deployment(move("2", "forth", "3", moved_at=day[6]))
    ledger.record_outcomes(
        [
            outcome("1", 0, 0.4, 10),
            outcome("1", 1, 0.7, 30),
            outcome("2", 2, 0.9, 5),
            outcome("1", 3, 0.8, 20),
            outcome("3", 6, 0.3, 10),
            outcome("3", 7, 0.6, 20),
            outcome("3", 8, float("nan"), 50),
            outcome("3", 4, 0.1, 10, role="challenger"),
            outcome("3", 6, 5.0, 10, model="value"),
        ]
    )
    return {(each.window_end - START).days // 7 - 1: each for each in ledger.loop("churn")}


def test_each_decision_is_one_row_in_the_order_of_its_data(loop: dict[int, LoopRow]) -> None:
    assert [*loop] == [1, 2, 3, 4, 5]
    assert [each.verdict for each in loop.values()] == ["retrain", "keep", "retrain", "retrain", "retrain"]
    assert [each.ended for each in loop.values()] == ["pass", None, "error", None, "pass"]
    assert [each.version for each in loop.values()] == ["2", None, None, None, "3"]


def test_a_version_that_was_taken_back_says_since_when(loop: dict[int, LoopRow]) -> None:
    row = loop[1]
    assert (row.before, row.live_until, row.after) == ("1", START + timedelta(days=2), "1")
    assert row.was_taken_back
    assert row.value == pytest.approx(0.9)
    assert row.rows == 5


def test_a_version_is_held_against_its_predecessor_by_rows(loop: dict[int, LoopRow]) -> None:
    row = loop[5]
    assert (row.who, row.live_from) == ("churn__train", START + timedelta(days=5))
    assert not row.was_taken_back
    assert (row.metric, row.rows, row.rows_before) == ("log_loss", 30, 60)
    assert row.value == pytest.approx((0.3 * 10 + 0.6 * 20) / 30)
    assert row.value_before == pytest.approx((0.4 * 10 + 0.7 * 30 + 0.8 * 20) / 60)


def test_what_led_to_no_version_has_no_outcome(loop: dict[int, LoopRow]) -> None:
    for number in (2, 3, 4):
        row = loop[number]
        assert (row.live_from, row.metric, row.value, row.rows) == (None,) * 4


def test_a_training_that_was_cleared_or_released_is_that_of_its_decision(ledger: Ledger) -> None:
    asked = ledger.decide(decision(week(1)))
    held = ledger.decide(decision(week(2), verdict="held", run_id=None))
    runs: tuple[tuple[str, Decision, str | None, Literal["pass", "error"]], ...] = (
        (f"{asked.run_id}", asked, None, "error"),
        (f"{asked.run_id}~1", asked, None, "error"),
        (f"{asked.run_id}~2", asked, "2", "pass"),
        (train_run_id(week(2)), held, "3", "pass"),
    )
    for run, of, version, verdict in runs:
        ledger.record_training(Training(run, "churn", of.key, of.window_end, version, verdict, (), {}))
    ledger.record_deployment(move("2", f"{asked.run_id}~2", "1"))
    ledger.record_outcomes([outcome("2", 3, 0.5, 10)])
    rows = [(each.verdict, each.ended, each.version, each.rows) for each in ledger.loop("churn")]
    assert rows == [("retrain", "pass", "2", 10), ("held", "pass", "3", None)]


def test_a_cleared_run_that_left_a_record_is_not_unstarted(ledger: Ledger) -> None:
    asked = ledger.decide(decision(week(1)))
    late = asked.decided_at + timedelta(hours=1)
    assert [each.key for each in ledger.unstarted(late)] == [asked.key]
    done = Training(f"{asked.run_id}~1", "churn", asked.key, asked.window_end, "2", "pass", (), {})
    ledger.record_training(done)
    assert ledger.unstarted(late) == []


def test_each_metric_has_a_row(ledger: Ledger) -> None:
    ledger.record_deployment(move("1", "by hand"))
    train(ledger, 1, "2")
    ledger.record_deployment(move("2", train_run_id(week(1)), "1"))
    ledger.record_outcomes([outcome("2", 2, 0.5), outcome("2", 2, 0.8, metric="roc_auc")])
    told = [(each.metric, each.value) for each in ledger.loop("churn")]
    assert told == [("log_loss", 0.5), ("roc_auc", 0.8)]


def test_the_first_outcome_stands(ledger: Ledger) -> None:
    first = outcome("1", 0, 0.4)
    ledger.record_outcomes([first])
    ledger.record_outcomes([outcome("1", 0, 0.9), outcome("1", 1, None)])
    ledger.record_outcomes([])
    assert [each.value for each in ledger.outcomes("churn", "log_loss")] == [0.4, None]
    assert ledger.outcomes("churn")[0] == first
    assert ledger.audit().findings == ()


def test_a_decision_whose_run_left_no_record_is_found_after_a_while(ledger: Ledger) -> None:
    now = datetime.now(UTC)
    train(ledger, 0, "2")
    train(ledger, 1, None, "error")
    lost = ledger.decide(decision(week(2), decided_at=now - timedelta(minutes=20)))
    ledger.decide(decision(week(3), decided_at=now))
    assert ledger.unstarted(before=now - timedelta(minutes=10)) == [lost]


def incident(number: int) -> Incident:
    at = week(number)
    return Incident(f"i{number}", "habits", at.start, at.end, ("visits",), 3, "nulls", "churn__monitor")


def test_an_incident_is_opened_once_and_its_first_answer_stands(ledger: Ledger) -> None:
    first = ledger.open_incident(incident(0))
    assert ledger.open_incident(replace(incident(0), reason="another")) == first
    other = ledger.open_incident(incident(1))
    said = ledger.answer_incident(IncidentAnswer("i0", "fault", "anna", "a dead sensor"))
    assert ledger.answer_incident(IncidentAnswer("i0", "real", "otto", "")) == said
    assert ledger.incidents() == [first, other]
    assert ledger.incidents(open_only=True) == [other]
    assert ledger.incident_answers() == {"i0": said}


def test_an_answer_to_no_incident_names_those_that_are_open(ledger: Ledger) -> None:
    ledger.open_incident(incident(0))
    with pytest.raises(LedgerError, match=r"There is no incident 'x' to answer. Open are: i0."):
        ledger.answer_incident(IncidentAnswer("x", "real", "anna", ""))
