"""What started a run is checked before anything is written."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from keepfit.airflow.conf import Trigger
from keepfit.errors import ConfError
from keepfit.spec import Window

WEEK = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 8, tzinfo=UTC))
NOW = datetime(2024, 3, 1, tzinfo=UTC)
NO_INTERVAL = (None, None)


def trigger(
    conf: dict[str, Any] | None = None,
    partition_key: str | None = None,
    interval: tuple[datetime | None, datetime | None] = NO_INTERVAL,
    *,
    cleared: int = 0,
    user: str | None = None,
    takes: tuple[str, ...] = ("window_start", "window_end", "version"),
) -> Trigger:
    """What Airflow gives the first task of `returns__predict`, or of a DAG that takes other params."""
    declared: dict[str, Any] = dict.fromkeys(takes)
    run = SimpleNamespace(
        dag_id="returns__predict",
        run_id="manual__1",
        conf=conf,
        partition_key=partition_key,
        data_interval_start=interval[0],
        data_interval_end=interval[1],
        clear_number=cleared,
        triggering_user_name=user,
    )
    params = {**declared, **(conf or {})}
    dag = SimpleNamespace(params=declared)
    return Trigger.of({"dag_run": run, "run_id": run.run_id, "dag": dag, "params": params})


def test_an_unknown_key_is_refused_by_name_with_a_hint() -> None:
    with pytest.raises(ConfError) as refused:
        trigger({"windw_start": "2024-01-01T00:00:00Z"})
    assert str(refused.value) == (
        "conf key 'windw_start' is not taken by returns__predict. Did you mean 'window_start'? "
        "It takes: window_start, window_end, version."
    )


def test_every_unknown_key_is_named() -> None:
    with pytest.raises(ConfError, match=r"conf key 'a' .* conf key 'b' "):
        trigger({"a": 1, "b": 2})


def test_the_other_params_are_settings() -> None:
    assert trigger({"version": "3"}).settings(NOW) == {"version": "3"}


def test_a_training_as_of_the_future_is_refused() -> None:
    training = Trigger("returns__train", "manual__1", {"as_of": "2024-03-01T00:00:01Z"})
    with pytest.raises(ConfError) as refused:
        training.settings(NOW)
    assert str(refused.value) == (
        "as_of is 2024-03-01T00:00:01Z, which is in the future (it is 2024-03-01T00:00:00+00:00): "
        "no label is known then."
    )


def test_a_window_that_is_not_over_is_refused() -> None:
    assert trigger(interval=(WEEK.start, NOW)).past_window(NOW).end == NOW
    with pytest.raises(ConfError, match="which is in the future"):
        trigger(interval=(WEEK.start, NOW + timedelta(seconds=1))).past_window(NOW)


def test_a_window_given_by_hand_wins_over_partition_and_interval() -> None:
    other = Window(datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 1, 2, tzinfo=UTC))
    given = {"window_start": "2024-01-01T00:00:00Z", "window_end": "2024-01-08T01:00:00+01:00"}
    assert trigger(given, other.key, (other.start, other.end)).window == WEEK


def test_a_partition_wins_over_the_interval() -> None:
    assert (
        trigger(None, WEEK.key, (datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 1, 2, tzinfo=UTC))).window
        == WEEK
    )


def test_the_data_interval_is_the_window_of_a_scheduled_run() -> None:
    assert trigger(interval=(WEEK.start, WEEK.end)).window == WEEK


@pytest.mark.parametrize("interval", [NO_INTERVAL, (WEEK.start, WEEK.start)])
def test_a_run_without_any_window_says_what_to_give(
    interval: tuple[datetime | None, datetime | None],
) -> None:
    with pytest.raises(ConfError) as refused:
        _ = trigger(interval=interval).window
    assert str(refused.value) == (
        "The run manual__1 of returns__predict has no window: it was started by hand, "
        "and no schedule or partition gives it one. Give window_start and window_end."
    )


def test_one_end_without_the_other_is_refused() -> None:
    with pytest.raises(
        ConfError, match=r"^window_start is given without window_end\. Give both, or neither\.$"
    ):
        _ = trigger({"window_start": "2024-01-01T00:00:00Z"}).window
    with pytest.raises(ConfError, match=r"^window_end is given without window_start\."):
        _ = trigger({"window_end": "2024-01-01T00:00:00Z"}).window


def test_a_reversed_window_is_refused() -> None:
    with pytest.raises(ConfError, match="its end must be later than its start"):
        _ = trigger({"window_start": "2024-01-08T00:00:00Z", "window_end": "2024-01-01T00:00:00Z"}).window


def test_a_window_finer_than_its_key_is_refused() -> None:
    with pytest.raises(ConfError, match="Give whole seconds"):
        _ = trigger({"window_start": "2024-01-01T00:00:00.5Z", "window_end": "2024-01-08T00:00:00Z"}).window


def test_a_partition_that_is_no_window_is_refused() -> None:
    with pytest.raises(ConfError, match="'yesterday' names no window"):
        _ = trigger(None, "yesterday").window


def test_a_cleared_run_begins_again_under_a_name_of_its_own() -> None:
    assert trigger().run_id == "manual__1"
    assert trigger(cleared=2).run_id == "manual__1~2"


@pytest.mark.parametrize(
    ("user", "said", "recorded"),
    [
        ("ann", None, "ann"),
        ("ann", "", "ann"),
        ("ann", "ann", "ann"),
        ("robot", "ann", "robot (ann)"),
        (None, "ann", "ann"),
        (None, None, None),
    ],
)
def test_who_is_the_user_whom_airflow_let_in_whatever_the_caller_says(
    user: str | None, said: str | None, recorded: str | None
) -> None:
    assert trigger({"who": said}, user=user, takes=("who",)).settings(NOW) == {"who": recorded}
