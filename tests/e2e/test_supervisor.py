"""`keepfit up`, `status` and `down` on a real project: started, killed in parts and whole, started again.

The tests of one start follow each other; those that kill the supervisor come last.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from keepfit.embedded.client import AirflowClient
from keepfit.embedded.ports import HOST
from keepfit.embedded.postgres import Postgres
from keepfit.embedded.processes import marked, session_members
from keepfit.embedded.settings import PRELOAD
from keepfit.embedded.status import Status
from keepfit.embedded.supervise import Supervisor
from keepfit.embedded.supervisor import status
from keepfit.errors import EmbeddedError
from keepfit.spec import load_project

pytestmark = pytest.mark.e2e

NAMES = ["serving", "api-server", "scheduler", "dag-processor", "triggerer", "mlflow"]

Keepfit = Callable[..., subprocess.CompletedProcess[str]]


def until(fact: Callable[[], object], within: float = 300.0) -> None:
    end = time.monotonic() + within
    while not fact():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def pids(told: Status) -> dict[str, int | None]:
    return {each.name: each.pid for each in told.components}


def left_over(told: Status) -> list[psutil.Process]:
    started = [each.started for each in told.components if each.started]
    return [*session_members(started), *marked(told.home)]


def test_up_starts_everything_and_says_where(project: Path, up: Status, keepfit: Keepfit) -> None:
    assert up.healthy
    assert list(pids(up)) == NAMES
    shown = keepfit(project, "status")
    assert shown.returncode == 0
    assert f"Airflow  {up.airflow_url}" in shown.stdout
    assert f"MLflow   {up.mlflow_url}" in shown.stdout
    assert f"Serving  {up.serving_url}/docs" in shown.stdout
    assert f"Log in as admin; the password is in {up.password_file}" in shown.stdout


def test_everything_listens_on_loopback_only(up: Status) -> None:
    assert up.supervisor
    family = psutil.Process(up.supervisor.pid).children(recursive=True)
    listening = []
    for process in family:
        # Those that parse a DAG file, or run a task, end at any moment.
        with suppress(psutil.NoSuchProcess):
            listening += [each.laddr for each in process.net_connections("inet") if each.status == "LISTEN"]
    assert up.ports
    assert {port for _, port in listening} == {up.ports.airflow, up.ports.mlflow, up.ports.serving}
    assert {address for address, _ in listening} == {HOST}


def test_the_libraries_of_tasks_begin_to_load_with_the_scheduler(up: Status) -> None:
    scheduler = psutil.Process({each.name: each.pid for each in up.components}["scheduler"])
    commands = []
    for child in scheduler.children():
        with suppress(psutil.NoSuchProcess):
            commands.append(" ".join(child.cmdline()))
    assert [command for command in commands if "forkserver" in command and PRELOAD in command]


def test_a_task_finds_the_libraries_loaded_and_its_log_can_be_read(airflow: AirflowClient) -> None:
    airflow.unpause("hello")
    assert airflow.trigger("hello", "first", {})
    assert not airflow.trigger("hello", "first", {})
    assert airflow.wait("hello", "first", within=400) == "success"
    task = "/dags/hello/dagRuns/first/taskInstances/greet"
    loaded = airflow.get(f"{task}/xcomEntries/return_value")["value"]
    assert loaded == ["evidently", "feast", "great_expectations", "mlflow"]
    assert "good morning" in str(airflow.get(f"{task}/logs/1")["content"])


def test_the_pools_of_the_dags_exist(airflow: AirflowClient) -> None:
    pools = {pool["name"]: pool["slots"] for pool in airflow.get("/pools")["pools"]}
    assert pools["keepfit_features"] == 1
    assert pools["keepfit_training"] == 2


def test_a_second_up_joins_what_runs(project: Path, up: Status, keepfit: Keepfit) -> None:
    again = keepfit(project, "up")
    assert again.returncode == 0
    assert str(up.airflow_url) in again.stdout
    assert pids(status(project)) == pids(up)


def test_a_second_supervisor_is_refused_and_told_of_the_first(project: Path, up: Status) -> None:
    assert up.supervisor
    with pytest.raises(EmbeddedError, match=f"runs already: process {up.supervisor.pid}"):
        Supervisor(load_project(project)).run()


def test_components_that_are_killed_are_started_again(project: Path, up: Status) -> None:
    before = pids(up)
    for name in ("scheduler", "mlflow"):
        os.kill(before[name] or 0, signal.SIGKILL)
    until(lambda: not status(project).healthy)
    until(lambda: status(project).healthy)
    restarts = {each.name: each.restarts for each in status(project).components}
    assert restarts == dict.fromkeys(NAMES, 0) | {"scheduler": 1, "mlflow": 1}
    assert status(project).ports == up.ports


def test_a_database_that_is_killed_is_started_again(
    project: Path, airflow: AirflowClient, up: Status
) -> None:
    postgres = Postgres(up.home)
    killed = postgres.pid()
    os.kill(killed or 0, signal.SIGKILL)
    until(lambda: postgres.pid() not in (None, killed))
    assert airflow.trigger("hello", "after_the_crash", {})
    assert airflow.wait("hello", "after_the_crash", within=250) == "success"
    until(lambda: status(project).healthy)


@pytest.mark.usefixtures("up")
def test_after_a_killed_supervisor_down_clears_up_and_up_works_on_free_ports(
    project: Path, keepfit: Keepfit
) -> None:
    told = status(project)
    assert told.supervisor
    assert told.ports
    os.kill(told.supervisor.pid, signal.SIGKILL)
    until(lambda: not status(project).running)
    assert keepfit(project, "status").returncode == 1
    assert left_over(told)
    assert keepfit(project, "down").returncode == 0
    assert left_over(told) == []
    assert Postgres(told.home).pid() is None
    with socket.create_server((HOST, told.ports.airflow)):
        begun = keepfit(project, "up")
        assert begun.returncode == 0, begun.stdout + begun.stderr
        now = status(project)
        assert now.healthy
        assert now.ports
        assert now.ports.airflow != told.ports.airflow
        assert now.ports.mlflow == told.ports.mlflow


@pytest.mark.usefixtures("up")
def test_up_clears_up_after_a_killed_supervisor_by_itself(project: Path, keepfit: Keepfit) -> None:
    told = status(project)
    assert told.supervisor
    os.kill(told.supervisor.pid, signal.SIGKILL)
    begun = keepfit(project, "up")
    assert begun.returncode == 0, begun.stdout + begun.stderr
    assert status(project).healthy
    assert not set(pids(status(project)).values()) & set(pids(told).values())


@pytest.mark.usefixtures("up")
def test_down_stops_everything_and_twice_is_as_good_as_once(project: Path, keepfit: Keepfit) -> None:
    told = status(project)
    assert keepfit(project, "down").returncode == 0
    assert left_over(told) == []
    assert Postgres(told.home).pid() is None
    assert status(project).phase == "stopped"
    assert keepfit(project, "down").returncode == 0


def test_an_interrupted_up_leaves_nothing_running(
    project: Path, up: Status, begin: Callable[[Path], subprocess.Popen[str]]
) -> None:
    starting = begin(project)
    until(lambda: status(project).phase == "starting" and len(left_over(status(project))) > 1)
    starting.send_signal(signal.SIGINT)
    starting.communicate()
    assert starting.returncode != 0
    assert left_over(status(project)) == []
    assert Postgres(up.home).pid() is None
    assert status(project).phase == "stopped"


def test_what_does_not_start_is_told_with_the_end_of_its_log(
    project: Path, up: Status, keepfit: Keepfit
) -> None:
    marker = up.home / "prepared" / "airflow.json"
    marker.unlink()
    (up.home / "airflow" / "airflow.cfg").write_text("this is no configuration\n")
    refused = keepfit(project, "up")
    assert refused.returncode == 1
    assert "airflow db migrate failed" in refused.stderr
    assert "MissingSectionHeaderError" in refused.stderr
    assert left_over(status(project)) == []
    assert Postgres(up.home).pid() is None
