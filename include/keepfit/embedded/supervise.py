"""The supervising process: owns the database, starts the components, watches them, stops them.

`python -m keepfit.embedded.supervise ROOT` is what `keepfit up` leaves running.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from keepfit.embedded.components import programs
from keepfit.embedded.credentials import credentials
from keepfit.embedded.crew import Crew, PortTakenError, clear_up
from keepfit.embedded.edits import Edits
from keepfit.embedded.locks import Lock
from keepfit.embedded.migration import migrate
from keepfit.embedded.ports import choose_ports
from keepfit.embedded.processes import MARK, Started
from keepfit.embedded.settings import airflow_environment
from keepfit.embedded.status import SERVING, ComponentStatus, Status, lock_path, read_status, write_status
from keepfit.embedded.stores import Databases, databases
from keepfit.errors import EmbeddedError, KeepfitError
from keepfit.spec import Project, load_project

_log = logging.getLogger(__name__)
_TICK = 0.2
_ASK_EVERY = 5.0
_ASK_EVERY_UNWELL = 0.5
_HEALTHY_WITHIN = 300.0
_LOOKERS_GONE_WITHIN = 1.0
"""Who asks for the status holds the lock for an instant."""


class _StopRequested(BaseException):
    """Someone asked the supervisor to stop."""


class Supervisor:
    """One project's supervisor."""

    def __init__(self, project: Project, report: Callable[[str], None] = print) -> None:
        """Supervise a project; `report` is told what happens, a line at a time."""
        self._project = project
        self._home = project.locations.home
        self._report = report
        self._status = Status(self._home)
        self._crew: Crew | None = None
        self._stop_asked = False

    def run(self) -> None:
        """Work until SIGTERM or SIGINT.

        Raises:
            EmbeddedError: Another supervisor is at work here, or the start failed.
        """
        with Lock(lock_path(self._home)) as lock:
            if not lock.try_take(within=_LOOKERS_GONE_WITHIN):
                raise EmbeddedError(
                    f"A supervisor of {self._home} runs already: {_process(read_status(self._home))}."
                )
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._ask_to_stop)
            self._status = replace(self._status, ports=clear_up(self._home).ports)
            self._tell("starting the database", phase="starting", supervisor=Started.of(os.getpid()))
            try:
                self._work()
            except _StopRequested:
                self._tell("stopped", phase="stopped")
            except KeepfitError as error:
                self._tell("failed", phase="failed", problem=str(error))
                raise

    def _work(self) -> None:
        with databases(self._project, airflow=True) as found:
            try:
                while True:
                    try:
                        self._serve(found)
                    except PortTakenError:
                        self._tell(
                            "another program took a port: starting again on free ones", phase="starting"
                        )
                        self._stop_crew()
            finally:
                self._tell("stopping", phase="stopping")
                self._stop_crew()

    def _serve(self, found: Databases) -> None:
        ports = choose_ports(self._home, self._status.ports)
        keys = credentials(self._home)
        environment = airflow_environment(
            found.locations, found.airflow_url, ports, keys, self._project.spec.slots
        )
        environment[MARK] = str(self._home)
        self._tell("preparing databases and stores", ports=ports)
        migrate(self._project, found.airflow_url, environment, self._wait)
        self._tell("starting Airflow and MLflow")
        parts = programs(found.locations, ports, environment, serve=bool(self._project.models))
        self._crew = Crew(self._home, ports, parts)
        self._watch(self._crew, found)

    def _watch(self, crew: Crew, found: Databases) -> None:
        ask_at, deadline = 0.0, time.monotonic() + _HEALTHY_WITHIN
        edits = Edits(self._project.root)
        while True:
            self._pause()
            if found.postgres and found.postgres.restart_if_dead():
                self._tell("the database had died and was started again")
            for dead in crew.check():
                self._mourn(dead)
            if time.monotonic() >= ask_at:
                if edits.are_new():
                    crew.renew(SERVING)
                crew.ask()
                ask_at = time.monotonic() + (_ASK_EVERY_UNWELL if crew.unwell else _ASK_EVERY)
            self._tell_health(crew, deadline)

    def _mourn(self, dead: ComponentStatus) -> None:
        if dead.state == "failed" and self._status.phase == "starting":
            raise EmbeddedError(f"{dead.name} does not start. The end of {dead.log}:\n{dead.last_lines()}")
        self._tell(f"{dead.name} died" + (" too often and is left alone" if dead.state == "failed" else ""))

    def _tell_health(self, crew: Crew, deadline: float) -> None:
        unwell = ", ".join(crew.unwell)
        if self._status.phase == "starting" and unwell and time.monotonic() > deadline:
            raise EmbeddedError(
                f"Not healthy after {_HEALTHY_WITHIN:.0f} s: {unwell}. Their logs: {self._home}/logs"
            )
        if unwell:
            self._tell(f"waiting for {unwell}")
        else:
            self._tell("everything is healthy", phase="up")

    def _tell(self, doing: str, **changes: Any) -> None:
        components = self._crew.statuses if self._crew else ()
        status = replace(self._status, doing=doing, components=components, **changes)
        if status != self._status:
            write_status(status)
            if doing != self._status.doing:
                self._report(doing)
            self._status = status

    def _stop_crew(self) -> None:
        if self._crew:
            self._crew.stop()

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        while (code := process.poll()) is None:
            self._pause()
        return code

    def _pause(self) -> None:
        time.sleep(_TICK)
        if self._stop_asked:
            raise _StopRequested

    def _ask_to_stop(self, *_: object) -> None:
        self._stop_asked = True


def _process(status: Status) -> str:
    return f"process {status.supervisor.pid}" if status.supervisor else "it has just started"


def main(root: str) -> int:
    """Supervise a project until told to stop; what happens goes to standard error."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    try:
        Supervisor(load_project(Path(root)), _log.info).run()
    except KeepfitError as error:
        _log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
