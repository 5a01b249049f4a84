"""The project's own PostgreSQL, started for real: shared, crashed, moved, misused."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg2
import pytest
from sqlalchemy import NullPool, create_engine, inspect, text

from keepfit.embedded.postgres import Postgres
from keepfit.embedded.stores import DATABASES, databases, stores
from keepfit.errors import EmbeddedError
from keepfit.spec import Project, load_project

USER = """
import sys, time
from pathlib import Path
from keepfit.embedded.postgres import Postgres
with Postgres(Path(sys.argv[1])).used():
    print("in", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    # Not pytest's own folder: as root the server is another user, whom any other pytest would lock out.
    with TemporaryDirectory(prefix="keepfit-") as folder:
        yield Path(folder)


@pytest.fixture
def postgres(home: Path) -> Iterator[Postgres]:
    server = Postgres(home)
    yield server
    server.stop_if_unused()


def ask(postgres: Postgres, query: str, database: str = "postgres") -> str:
    engine = create_engine(postgres.url(database), poolclass=NullPool)
    with engine.begin() as connection:
        found = connection.execute(text(query))
        return str(found.scalar()) if found.returns_rows else ""


def another_user(home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", USER, str(home)]
    user = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert user.stdout
    assert user.stdout.readline() == "in\n"
    return user


def leave(user: subprocess.Popen[str]) -> None:
    user.communicate()
    assert user.returncode == 0


def test_it_starts_with_its_databases_on_no_port_and_stops_with_its_last_user(postgres: Postgres) -> None:
    with postgres.used():
        postgres.create(("ledger", "mlflow"))
        postgres.create(("ledger", "feast"))
        assert ask(postgres, "SELECT current_database()", "feast") == "feast"
        assert ask(postgres, "SHOW listen_addresses") == ""
        assert ask(postgres, "SHOW server_encoding") == "UTF8"
        pid = postgres.pid()
        assert pid
        assert psutil.Process(pid).net_connections("tcp") == []
        assert postgres.data.stat().st_mode & 0o777 == 0o700
    assert postgres.pid() is None


def test_it_stays_until_the_last_of_its_users_has_left(postgres: Postgres, home: Path) -> None:
    user = another_user(home)
    with postgres.used():
        pid = postgres.pid()
        leave(user)
        assert postgres.pid() == pid
        user = another_user(home)
    assert postgres.pid() == pid
    leave(user)
    assert postgres.pid() is None


def test_a_user_that_was_killed_does_not_count(postgres: Postgres, home: Path) -> None:
    user = another_user(home)
    user.kill()
    user.communicate()
    assert postgres.pid()
    with postgres.used():
        pass
    assert postgres.pid() is None


def test_what_was_committed_outlives_a_killed_server(postgres: Postgres) -> None:
    with postgres.used():
        ask(postgres, "CREATE TABLE kept AS SELECT 7 AS number")
        killed = postgres.pid()
        os.kill(killed or 0, signal.SIGKILL)
        while not postgres.restart_if_dead():
            time.sleep(0.01)
        assert not postgres.restart_if_dead()
        assert postgres.pid() != killed
        assert ask(postgres, "SELECT number FROM kept") == "7"


def test_a_database_that_was_removed_is_not_made_anew_under_those_who_use_it(postgres: Postgres) -> None:
    with postgres.used():
        moved = postgres.data.rename(postgres.data.with_name("moved"))
        with pytest.raises(EmbeddedError, match="was removed while its database ran"):
            postgres.restart_if_dead()
        assert not postgres.data.exists()
        moved.rename(postgres.data)


@pytest.mark.parametrize("name", ["a b%20'c", "x" * 100])
def test_a_folder_no_socket_can_live_in_gets_one_elsewhere(home: Path, name: str) -> None:
    postgres = Postgres(home / name)
    with postgres.used():
        folder = postgres.socket_folder()
        assert len(str(folder)) < 60
        assert folder.stat().st_mode & 0o777 == 0o700
        assert ask(postgres, "SELECT 1") == "1"
    assert not folder.exists()


def test_who_has_another_folder_for_temporary_files_finds_the_running_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres = Postgres(home / ("x" * 100))
    with postgres.used():
        monkeypatch.setattr("tempfile.tempdir", str(home))
        assert ask(postgres, "SELECT 1") == "1"


def test_a_socket_folder_of_somebody_else_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    monkeypatch.setattr("tempfile.tempdir", str(home))
    postgres = Postgres(home / ("x" * 100))
    postgres.socket_folder().mkdir()
    os.chown(postgres.socket_folder(), 65534, 65534)
    with pytest.raises(EmbeddedError, match="belongs to nobody"), postgres.used():
        pass


def test_another_major_version_is_refused_and_left_as_it_is(postgres: Postgres) -> None:
    with postgres.used():
        pass
    (postgres.data / "PG_VERSION").write_text("16\n")
    with (
        pytest.raises(EmbeddedError, match=r"data folder of PostgreSQL 16, and this keepfit brings 18"),
        postgres.used(),
    ):
        pass
    assert (postgres.data / "PG_VERSION").read_text() == "16\n"


def test_a_data_folder_whose_making_was_interrupted_is_made_anew(postgres: Postgres) -> None:
    half = postgres.data.with_name("postgres.new")
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with postgres.used():
        assert ask(postgres, "SELECT 1") == "1"
    assert not half.exists()


def test_a_dead_servers_number_may_be_another_process_by_now(postgres: Postgres) -> None:
    with postgres.used():
        mark = (postgres.data / "postmaster.pid").read_text()
        socket_mark = (postgres.socket_folder() / ".s.PGSQL.5432.lock").read_text()
    own = str(os.getpid())
    (postgres.data / "postmaster.pid").write_text(mark.replace(mark.splitlines()[0], own, 1))
    (postgres.data / ".s.PGSQL.5432.lock").write_text(socket_mark.replace(mark.splitlines()[0], own, 1))
    assert postgres.pid() is None
    with postgres.used():
        assert ask(postgres, "SELECT 1") == "1"


def test_why_it_does_not_start_is_told(postgres: Postgres) -> None:
    with postgres.used():
        pass
    (postgres.data / "postgresql.conf").write_text("nonsense = 1\n")
    with (
        pytest.raises(EmbeddedError, match='unrecognized configuration parameter "nonsense"'),
        postgres.used(),
    ):
        pass


# A project's stores


def project(root: Path, database: str) -> Project:
    repo = root / "feature_repo"
    repo.mkdir()
    (repo / "keepfit.yaml").write_text(f"project: shop\ndatabase: {database}\n")
    (repo / "features.py").write_text("")
    (repo / "feature_store.yaml").write_text(
        """
project: shop
provider: local
registry: {registry_type: sql, path: "${KEEPFIT_FEAST_REGISTRY}"}
offline_store: {type: keepfit.backends.feature_store.offline.LakeOfflineStore}
online_store: {type: sqlite, path: "${KEEPFIT_FEAST_ONLINE}"}
entity_key_serialization_version: 3
"""
    )
    return load_project(root)


def tables(url: str) -> set[str]:
    return set(inspect(create_engine(url, poolclass=NullPool)).get_table_names())


@pytest.mark.parametrize("database", ["embedded", "sqlite"])
def test_stores_are_migrated_once_and_named_in_the_environment(home: Path, database: str) -> None:
    shop = project(home, database)
    with stores(shop) as locations:
        assert "decisions" in tables(locations.ledger_url)
        assert "registered_models" in tables(locations.tracking_uri)
        assert "feature_views" in tables(locations.feast_registry_url)
        assert {name: os.environ[name] for name in DATABASES} == {
            "KEEPFIT_LEDGER_URL": locations.ledger_url,
            "KEEPFIT_TRACKING_URI": locations.tracking_uri,
            "KEEPFIT_FEAST_REGISTRY": locations.feast_registry_url,
        }
        assert locations.ledger_url.startswith("postgresql" if database == "embedded" else "sqlite")
    assert not set(DATABASES) & set(os.environ)
    prepared = {path: path.stat().st_mtime_ns for path in (locations.home / "prepared").glob("*.json")}
    assert len(prepared) == 3
    with stores(shop):
        assert {path: path.stat().st_mtime_ns for path in prepared} == prepared


def test_a_database_that_was_deleted_is_made_again(home: Path) -> None:
    shop = project(home, "sqlite")
    with stores(shop) as locations:
        pass
    (locations.home / "ledger.db").unlink()
    with stores(shop):
        assert "decisions" in tables(locations.ledger_url)


def test_an_external_database_whose_url_is_not_given_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = project(home, "external")
    monkeypatch.setenv("KEEPFIT_LEDGER_URL", "postgresql+psycopg2://somewhere/ledger")
    complaint = "KEEPFIT_TRACKING_URI, KEEPFIT_FEAST_REGISTRY are not set in the environment"
    with pytest.raises(EmbeddedError, match=complaint), databases(shop):
        pass
    for name in DATABASES:
        monkeypatch.setenv(name, "postgresql+psycopg2://somewhere/x")
    with databases(shop):
        pass
    monkeypatch.delenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", raising=False)
    complaint = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN is not set in the environment"
    with pytest.raises(EmbeddedError, match=complaint), databases(shop, airflow=True):
        pass


@pytest.mark.parametrize(
    ("variable", "url", "problem"),
    [
        ("KEEPFIT_LEDGER_URL", "postgresql://me:s3cret@[bad", "has no host and port that can be read"),
        ("KEEPFIT_TRACKING_URI", "http://[bad", "names no server that can be read. Write http://host:5000."),
        (
            "KEEPFIT_TRACKING_URI",
            "postgresql://me:a@b:s3cret@host/db",
            "has no host and port that can be read",
        ),
        ("KEEPFIT_FEAST_REGISTRY", "nosuch://me:s3cret@host/db", "is no SQLAlchemy URL of a database known"),
    ],
)
def test_an_odd_url_is_named_by_its_variable_before_anything_is_opened(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, url: str, problem: str
) -> None:
    monkeypatch.setenv(variable, url)
    with pytest.raises(EmbeddedError) as refused, stores(project(home, "sqlite")):
        pass
    assert str(refused.value).startswith(f"{variable} {problem}")
    assert "cret" not in str(refused.value)
    assert os.environ[variable] == url


def test_a_url_of_the_environment_wins_over_the_embedded_database(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEEPFIT_LEDGER_URL", f"sqlite:///{home}/own.db")
    with databases(project(home, "embedded")) as found:
        assert found.locations.ledger_url == f"sqlite:///{home}/own.db"
        assert found.locations.tracking_uri == Postgres(found.locations.home).url("mlflow")
        with psycopg2.connect(user="postgres", dbname="airflow", host=str(found.postgres.socket_folder())):  # type: ignore[union-attr]
            pass
