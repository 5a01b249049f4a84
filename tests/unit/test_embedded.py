"""The parts of the embedded profile, each by itself, with real processes, locks and sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from keepfit.cli.new import new
from keepfit.embedded.components import DEATHS_ALLOWED, Component, Program
from keepfit.embedded.credentials import credentials
from keepfit.embedded.edits import Edits
from keepfit.embedded.locks import Lock, alone, is_held
from keepfit.embedded.ports import HOST, Ports, choose_ports, is_free
from keepfit.embedded.processes import MARK, Started, kill_marked, marked, session_members, start, stop
from keepfit.embedded.settings import SHARED, airflow_environment, bundle, pools, process_environment
from keepfit.embedded.sqlite import CONNECT_ARGS
from keepfit.embedded.status import ComponentStatus, Status, lock_path, read_status, write_status
from keepfit.errors import EmbeddedError
from keepfit.spec import Locations, ProjectSpec

PARENT_AND_CHILD = """
import subprocess, sys, time
child = subprocess.Popen(["sleep", "60"], start_new_session=len(sys.argv) > 1)
print(child.pid, flush=True)
time.sleep(60)
"""


def until(fact: Callable[[], object], within: float = 120.0) -> None:
    end = time.monotonic() + within
    while not fact():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., tuple[Started, Path]]]:
    programs: list[subprocess.Popen[bytes]] = []

    def begin(*command: str) -> tuple[Started, Path]:
        log = tmp_path / f"{len(programs)}.log"
        programs.append(start(command, {**os.environ, MARK: str(tmp_path)}, log, tmp_path))
        return Started.of(programs[-1].pid), log

    yield begin
    kill_marked(tmp_path)
    for program in programs:
        program.wait()


def child_of(log: Path) -> psutil.Process:
    until(lambda: log.read_text().strip())
    return psutil.Process(int(log.read_text()))


def works(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# Locks


def test_a_lock_is_given_back_when_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = "import sys, time; from pathlib import Path; from keepfit.embedded.locks import Lock"
    code += "; lock = Lock(Path(sys.argv[1])); lock.take(); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, path])
    until(lambda: is_held(path))
    with Lock(path) as lock:
        assert not lock.try_take()
        holder.kill()
        holder.wait()
        assert lock.try_take(within=60)


def test_programs_do_not_inherit_a_lock(tmp_path: Path) -> None:
    with alone(tmp_path / "lock"):
        child = subprocess.Popen(["sleep", "60"])
    assert not is_held(tmp_path / "lock")
    child.kill()
    child.wait()


def test_many_share_a_lock_and_the_last_can_take_it(tmp_path: Path) -> None:
    with Lock(tmp_path / "lock") as first:
        first.share()
        with Lock(tmp_path / "lock") as second:
            second.share()
            assert not first.try_take()
        assert first.try_take()


# Ports


def test_a_home_keeps_its_ports_while_they_are_free(tmp_path: Path) -> None:
    ports = choose_ports(tmp_path)
    assert choose_ports(tmp_path) == ports
    wished = choose_ports(tmp_path / "another")
    assert wished != ports
    assert choose_ports(tmp_path, wished) == wished


def test_a_port_of_another_program_is_not_chosen(tmp_path: Path) -> None:
    before = choose_ports(tmp_path)
    with socket.create_server((HOST, before.airflow)):
        assert not is_free(before.airflow)
        after = choose_ports(tmp_path, before)
    assert after.airflow not in (before.airflow, before.mlflow)
    assert after.mlflow == before.mlflow
    assert is_free(before.airflow, within=60)


# Credentials


def test_keys_and_password_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    keys = credentials(tmp_path)
    assert credentials(tmp_path) == keys
    assert len(keys.password) >= 16
    assert len(keys.jwt_secret) == 128
    assert credentials(tmp_path / "other").password != keys.password
    assert {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "secrets").iterdir()} == {"0o600"}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_users_that_were_added_to_the_password_file_stay(tmp_path: Path) -> None:
    keys = credentials(tmp_path)
    keys.passwords.write_text(json.dumps({"guest": "word"}))
    assert json.loads(credentials(tmp_path).passwords.read_text())["guest"] == "word"
    assert keys.password


# Processes


def test_a_grandchild_is_found_after_its_parent_was_killed(
    started: Callable[..., tuple[Started, Path]],
) -> None:
    program, log = started(sys.executable, "-c", PARENT_AND_CHILD)
    child = child_of(log)
    os.kill(program.pid, signal.SIGKILL)
    until(lambda: program.process() is None)
    assert child in session_members([program])
    stop([program], within=1)
    assert not works(child)


def test_a_child_that_left_the_session_is_found_by_its_mark(
    started: Callable[..., tuple[Started, Path]], tmp_path: Path
) -> None:
    program, log = started(sys.executable, "-c", PARENT_AND_CHILD, "leave")
    child = child_of(log)
    assert child not in session_members([program])
    until(lambda: child in marked(tmp_path))
    assert marked(tmp_path / "another") == []


def test_a_program_that_ignores_the_request_is_killed(started: Callable[..., tuple[Started, Path]]) -> None:
    ignore = "import signal, time; signal.signal(15, signal.SIG_IGN); print(0, flush=True); time.sleep(60)"
    program, log = started(sys.executable, "-c", ignore)
    until(log.read_text)
    stop([program], within=0.2)
    assert program.process() is None


def test_a_process_id_that_was_used_again_is_somebody_else(
    started: Callable[..., tuple[Started, Path]],
) -> None:
    program, _ = started("sleep", "60")
    earlier = Started(program.pid, program.at - 3600)
    assert earlier.process() is None
    assert session_members([earlier]) == []
    assert program.process() is not None


def test_a_long_log_is_put_aside_when_its_program_starts_again(
    started: Callable[..., tuple[Started, Path]], tmp_path: Path
) -> None:
    with (tmp_path / "0.log").open("wb") as file:
        file.truncate(20_000_001)
    _, log = started("echo", "new")
    until(log.read_text)
    assert log.read_text() == "new\n"
    assert (tmp_path / "0.old.log").stat().st_size == 20_000_001


# A component


@pytest.fixture
def component(tmp_path: Path) -> Iterator[Callable[[str], Component]]:
    made: list[Component] = []

    def begin(code: str) -> Component:
        program = Program("worker", (sys.executable, "-c", code), os.environ | {MARK: str(tmp_path)})
        made.append(Component(program, tmp_path / "worker.log", tmp_path))
        made[-1].start()
        return made[-1]

    yield begin
    for each in made:
        each.end()


def state(component: Component) -> str:
    return component.status.state


def test_a_component_that_died_is_started_again(component: Callable[[str], Component]) -> None:
    worker = component("import time; time.sleep(60)")
    worker.judge(time.time() + 1)
    assert state(worker) == "healthy"
    first = worker.status.pid
    os.kill(first or 0, signal.SIGKILL)
    until(worker.check)
    assert state(worker) == "waiting"
    until(lambda: worker.check() or state(worker) == "starting")
    assert worker.status.restarts == 1
    assert worker.status.pid != first
    worker.end()
    assert (state(worker), worker.status.pid) == ("stopped", None)


def test_a_component_that_dies_too_often_is_left_alone_and_shows_its_last_words(
    component: Callable[[str], Component],
) -> None:
    worker = component("print('no database'); raise SystemExit(3)")
    deaths = 0
    end = time.monotonic() + 300
    while state(worker) != "failed" and time.monotonic() < end:
        deaths += worker.check()
        worker._again_at = 0  # does not wait out the pauses
        time.sleep(0.01)
    assert deaths == DEATHS_ALLOWED
    assert worker.status.last_lines().splitlines() == ["no database"] * DEATHS_ALLOWED
    assert not worker.check()


def test_a_component_that_is_unwell_for_long_is_started_again(
    component: Callable[[str], Component], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = component("import time; time.sleep(60)")
    worker.judge(time.time() + 1)
    worker.judge(None)
    assert not worker.check()
    monkeypatch.setattr("keepfit.embedded.components.HANGS_AFTER", 0.0)
    assert worker.check()
    assert state(worker) == "waiting"


def test_a_sign_of_life_from_before_its_start_is_not_a_components_own(
    component: Callable[[str], Component],
) -> None:
    worker = component("import time; time.sleep(60)")
    worker.judge(time.time() - 60)
    assert state(worker) == "starting"
    worker.judge(time.time() + 1)
    worker.judge(None)
    assert state(worker) == "unhealthy"


# Status


def test_a_status_is_read_as_it_was_written_and_only_by_its_owner(tmp_path: Path) -> None:
    part = ComponentStatus("scheduler", "healthy", Started(7, 12.5), 2, tmp_path / "scheduler.log")
    told = Status(tmp_path, "failed", "", "no space", Started(6, 12.0), Ports(8101, 8102), (part,))
    write_status(told)
    assert read_status(tmp_path) == told
    assert (tmp_path / "supervisor.json").stat().st_mode & 0o777 == 0o600
    assert told.airflow_url == "http://127.0.0.1:8101"


def test_a_supervisor_that_was_killed_does_not_run_whatever_it_told_last(tmp_path: Path) -> None:
    write_status(Status(tmp_path, "up", supervisor=Started.of(os.getpid())))
    with Lock(lock_path(tmp_path)) as lock:
        lock.take()
        assert read_status(tmp_path).healthy
        write_status(Status(tmp_path, "up", supervisor=Started(2**22 + 1, 0.0)))
        assert not read_status(tmp_path).running  # its successor holds the lock
    assert not read_status(tmp_path).running
    assert "was killed" in read_status(tmp_path).problem


def test_where_nothing_ever_ran_the_status_is_stopped(tmp_path: Path) -> None:
    assert read_status(tmp_path) == Status(tmp_path)
    assert not read_status(tmp_path).healthy


# Settings


def environment(tmp_path: Path, url: str) -> dict[str, str]:
    locations = Locations.resolve(ProjectSpec(project="shop"), tmp_path, {})
    keys = credentials(tmp_path / ".keepfit")
    return airflow_environment(locations, url, Ports(8101, 8102), keys, slots=3)


def test_airflows_addresses_agree_with_its_port_and_stay_on_loopback(tmp_path: Path) -> None:
    made = environment(tmp_path, "postgresql+psycopg2://postgres@/airflow?host=/x")
    assert made["AIRFLOW__API__PORT"] == "8101"
    assert made["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert made["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:8101"
    assert made["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8101/execution/"
    assert made["AIRFLOW__CORE__PARALLELISM"] == "3"
    assert made.items() >= SHARED.items()


def test_sqlite_gets_no_pool_and_patience(tmp_path: Path) -> None:
    made = environment(tmp_path, "sqlite:////x/airflow.db")
    assert made["AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_ENABLED"] == "False"
    assert made["AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS"] == "keepfit.embedded.sqlite.CONNECT_ARGS"
    assert CONNECT_ARGS == {"timeout": 60.0}


def test_a_project_without_airflowignore_is_read_from_its_dags_only(tmp_path: Path) -> None:
    assert bundle(tmp_path)["kwargs"] == {"path": str(tmp_path / "dags")}
    (tmp_path / ".airflowignore").touch()
    assert bundle(tmp_path)["kwargs"] == {"path": str(tmp_path)}


def test_children_compile_their_imports_and_find_this_python_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    made = process_environment({"A": "b"})
    assert "PYTHONDONTWRITEBYTECODE" not in made
    assert made["A"] == "b"
    assert made["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_training_leaves_slots_for_other_tasks() -> None:
    assert {name: pool["slots"] for name, pool in pools(8).items()} == {
        "keepfit_features": 1,
        "keepfit_training": 4,
    }
    assert pools(1)["keepfit_training"]["slots"] == 1


def test_no_free_port_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = choose_ports(tmp_path).airflow
    monkeypatch.setattr("keepfit.embedded.ports._LAST", port + 1)
    with (
        socket.create_server((HOST, port)),
        # From the home's own place on, which is that port unless another program holds it.
        pytest.raises(EmbeddedError, match=rf"No port between \d+ and {port + 1} of {HOST} is free"),
    ):
        choose_ports(tmp_path)


# Edits


def test_an_edit_is_new_once_and_only_if_the_project_is_sound_with_it(tmp_path: Path) -> None:
    new(tmp_path / "shop")
    model = tmp_path / "shop" / "feature_repo" / "models" / "returns.yaml"
    sound = model.read_text()
    edits = Edits(tmp_path / "shop")
    assert not edits.are_new()
    model.write_text(sound + "retries: 1\n")
    assert edits.are_new()
    assert not edits.are_new()
    model.write_text("name: [")
    assert not edits.are_new()
    model.write_text(sound)
    assert edits.are_new()
