"""A ledger on SQLite and one on a real PostgreSQL, and what is put into them."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from keepfit.embedded.postgres import Postgres
from keepfit.ledger import Decision, Deployment, Ledger, Publication, decision_key, migrate, train_run_id
from keepfit.spec import Window

START = datetime(2013, 1, 1, tzinfo=UTC)
FORK = multiprocessing.get_context("fork")


def week(number: int) -> Window:
    start = START + timedelta(weeks=number)
    return Window(start, start + timedelta(weeks=1))


def days(first: int, last: int) -> Window:
    return Window(START + timedelta(days=first), START + timedelta(days=last))


def decision(window: Window, **changes: Any) -> Decision:
    fields: dict[str, Any] = {
        "key": decision_key("churn", "abc", window),
        "model": "churn",
        "policy_version": "abc",
        "window_start": window.start,
        "window_end": window.end,
        "verdict": "retrain",
        "trigger": "drift",
        "reason": "3 of 4 columns drifted (share 0.75 >= 0.50)",
        "evidence": {"share": 0.75},
        "run_id": train_run_id(window),
        "decided_by": "churn__monitor",
    }
    return Decision(**fields | changes)


def publication(window: Window | None, version: int, dataset: str = "orders") -> Publication:
    start, end = (window.start, window.end) if window else (None, None)
    return Publication(dataset, start, end, 10, "d1", version, f"run{version}")


def move(to: str | None, run: str, came_from: str | None = None, **changes: Any) -> Deployment:
    return Deployment(
        **{
            "model": "churn",
            "alias": "champion",
            "from_version": came_from,
            "to_version": to,
            "who": "churn__train",
            "why": "passed its gate",
            "decision_key": None,
            "run_id": run,
        }
        | changes
    )


def migrate_to(url: str, revision: str) -> None:
    """Lay an older ledger out."""
    config = Config()
    config.set_main_option("script_location", "keepfit.ledger:migrations")
    if url.startswith("sqlite"):
        Path(str(make_url(url).database)).parent.mkdir()
    with opened(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def opened(url: str) -> Engine:
    # A pooled connection would keep the server from stopping.
    return create_engine(url, poolclass=NullPool)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    # Not under pytest's folder: as root the server is another user, whom any other pytest would lock out.
    with tempfile.TemporaryDirectory(prefix="keepfit-") as folder:
        server = Postgres(Path(folder))
        with server.used():
            yield server.url("{}")


@pytest.fixture
def new_place(postgres: str) -> Callable[[], str]:
    """Make a schema of its own on PostgreSQL, where a ledger is like one in its own database."""

    def make() -> str:
        name = f"ledger_{os.urandom(6).hex()}"
        with opened(postgres.format("postgres")).begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {name}"))
        return f"{postgres.format('postgres')}&options=-csearch_path%3D{name}"

    return make


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'a new folder' / 'ledger.db'}"
    make: Callable[[], str] = request.getfixturevalue("new_place")
    return make()


@pytest.fixture
def ledger(url: str) -> Ledger:
    migrate(url)
    return Ledger(url)


def in_processes(target: Callable[..., None], arguments: list[tuple[Any, ...]]) -> list[int | None]:
    """Do something in a process for each set of arguments, all at once; return how they ended."""
    started = [FORK.Process(target=target, args=each) for each in arguments]
    for process in started:
        process.start()
    for process in started:
        process.join(300)
    return [process.exitcode for process in started]
