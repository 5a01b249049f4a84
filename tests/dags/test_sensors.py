"""A sensor waits without a worker until a window is published."""

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from threading import Thread, Timer
from time import sleep
from typing import TYPE_CHECKING

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from sqlalchemy import select

from keepfit.airflow.sensors import DriftSensor
from keepfit.airflow.triggers import PublicationTrigger
from keepfit.ledger import Ledger, Publication, migrate
from keepfit.spec import Window

if TYPE_CHECKING:
    from tests.dags.conftest import RunDag

WEEK = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 8, tzinfo=UTC))
SOMEONES = """
    from airflow.sdk import DAG
    from keepfit.airflow import PublicationSensor

    with DAG("someones") as dag:
        PublicationSensor(
            task_id="wait",
            root={root!r},
            dataset="orders",
            window={window!r},
            poke_interval=0.1,
            timeout=500,
        )
    """


@pytest.fixture
def ledger(shop: Path) -> Ledger:
    url = f"sqlite:///{shop}/.keepfit/ledger.db"
    migrate(url)
    return Ledger(url)


def publish(ledger: Ledger, window: Window = WEEK) -> None:
    start, end = window.start, window.end
    ledger.record_publication(
        Publication("orders", start, end, rows=5, digest="", version=1, run_id=window.key)
    )


def write_dag(root: Path, window: str | None = WEEK.key) -> None:
    text = SOMEONES.format(root=str(root), window=window)
    (root / "dags" / "someones.py").write_text(dedent(text))


def fired(trigger: PublicationTrigger) -> TriggerEvent:
    async def first() -> TriggerEvent:
        return await anext(trigger.run())

    return asyncio.run(first())


def test_a_published_window_is_not_waited_for(shop: Path, ledger: Ledger, run_dag: "RunDag") -> None:
    publish(ledger)
    write_dag(shop)
    run = run_dag(shop, "someones")
    assert run.state == "success"
    assert "is not published" not in run.log


def test_a_sensor_waits_in_the_triggerer_until_the_window_is_published(
    shop: Path, ledger: Ledger, run_dag: "RunDag"
) -> None:
    write_dag(shop)
    publisher = Thread(target=publish_as_soon_as_it_waits, args=(ledger,))
    publisher.start()
    run = run_dag(shop, "someones")
    publisher.join()
    assert run.state == "success"
    assert "orders is not published for 20240101T000000Z_20240108T000000Z yet." in run.log


def publish_as_soon_as_it_waits(ledger: Ledger) -> None:
    waiting = select(TaskInstance).where(
        TaskInstance.dag_id == "someones",
        TaskInstance.next_method == "resume",
        TaskInstance.state != "success",
    )
    for _ in range(4000):
        with create_session() as session:
            if session.scalar(waiting):
                break
        sleep(0.1)
    publish(ledger)


def test_a_window_is_published_when_its_parts_are(shop: Path, ledger: Ledger) -> None:
    middle = datetime(2024, 1, 4, tzinfo=UTC)
    publish(ledger, Window(WEEK.start, middle))
    Timer(0.5, publish, (ledger, Window(middle, WEEK.end))).start()
    event = fired(PublicationTrigger(str(shop), "orders", WEEK.key, poll_interval=0.05))
    assert event.payload == {"window": WEEK.key}


def test_a_trigger_is_rebuilt_from_what_it_says_of_itself_and_holds_no_url(shop: Path) -> None:
    path, values = PublicationTrigger(str(shop), "orders", WEEK.key, poll_interval=5).serialize()
    assert path == "keepfit.airflow.triggers.PublicationTrigger"
    assert values == {"root": str(shop), "dataset": "orders", "window": WEEK.key, "poll_interval": 5}
    assert PublicationTrigger(**values).serialize() == (path, values)


@pytest.mark.usefixtures("ledger")
def test_a_slow_ledger_does_not_hold_up_the_triggerer_s_other_triggers(shop: Path) -> None:
    trigger = PublicationTrigger(str(shop), "orders", WEEK.key, poll_interval=0.01)

    async def both() -> None:
        waiting = asyncio.ensure_future(anext(trigger.run()))
        for _ in range(40):
            await asyncio.sleep(0.01)
        # So far the ledger could not be read: had the loop waited for it, that would have come to an end.
        assert not waiting.done()
        locked.close()
        waiting.cancel()

    locked = sqlite3.connect(shop / ".keepfit" / "ledger.db", isolation_level=None)
    locked.execute("PRAGMA locking_mode = EXCLUSIVE")
    locked.execute("BEGIN EXCLUSIVE")
    asyncio.run(both())


def test_drift_sensors_mapped_over_models_have_folders_of_their_own(shop: Path) -> None:
    sensors = [DriftSensor(task_id="drift", root=shop, model=model) for model in ("returns", "churn")]
    folders = {each._folder("someones", index) for each in sensors for index in (-1, 0, 1)}
    assert len(folders) == 6


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_a_drift_sensor_refuses_a_share_that_says_nothing(shop: Path, share: float) -> None:
    with pytest.raises(ValueError, match=r"a share of drifted columns is above 0 and at most 1"):
        DriftSensor(task_id="drift", root=shop, model="returns", share=share)


@pytest.mark.usefixtures("ledger")
def test_without_a_window_a_sensor_takes_the_run_s(shop: Path, run_dag: "RunDag") -> None:
    write_dag(shop, window=None)
    run = run_dag(shop, "someones")
    assert run.state == "failed"
    assert "of someones has no window" in run.log
