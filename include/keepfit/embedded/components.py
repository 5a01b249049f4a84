"""The programs of the embedded profile, and one of them with its deaths and restarts."""

import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from keepfit.embedded.ports import HOST, Ports
from keepfit.embedded.processes import Started, kill, session_members, start
from keepfit.embedded.settings import process_environment
from keepfit.embedded.sqlite import API_SERVER_SECONDS, SECONDS
from keepfit.embedded.status import SERVING, ComponentState, ComponentStatus
from keepfit.spec import Locations

DEATHS_ALLOWED = 5
DEATHS_WITHIN = 120.0
HANGS_AFTER = 300.0
"""Long, since with a scheduler its running tasks die and start anew."""
# -P: a file of the project must not take the place of a module with its name.
PYTHON = (sys.executable, "-P", "-m")


@dataclass(frozen=True)
class Program:
    """What to start."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


def programs(
    locations: Locations, ports: Ports, environment: Mapping[str, str], *, serve: bool
) -> tuple[Program, ...]:
    """Describe everything a supervisor runs beside the database; with `serve`, the prediction server too."""
    patient = process_environment(environment)
    airflow = (*PYTHON, "airflow")
    # Logs are read from the disk: the log servers would listen on every network.
    quiet = "--skip-serve-logs"
    mlflow = (*PYTHON, "mlflow", "server", "--host", HOST, "--port", str(ports.mlflow), "--workers", "1")
    server = (*PYTHON, "keepfit", "serve", "--root", str(locations.root), "--host", HOST)
    return (
        *([Program(SERVING, (*server, "--port", str(ports.serving)), patient)] if serve else []),
        Program("api-server", (*airflow, "api-server"), patient | {SECONDS: API_SERVER_SECONDS}),
        Program("scheduler", (*PYTHON, "keepfit.embedded.scheduler", quiet), patient),
        Program("dag-processor", (*airflow, "dag-processor"), patient),
        Program("triggerer", (*airflow, "triggerer", quiet), patient),
        Program(
            "mlflow",
            (*mlflow, "--artifacts-destination", str(locations.artifacts)),
            # Not as an argument: it may hold a password, and arguments can be read by everybody.
            patient | {"MLFLOW_BACKEND_STORE_URI": locations.tracking_uri},
        ),
    )


@dataclass
class Component:
    """A program under supervision."""

    program: Program
    log: Path
    folder: Path
    state: ComponentState = "stopped"
    started: Started | None = None
    restarts: int = 0
    _process: Popen[bytes] | None = None
    _deaths: deque[float] = field(default_factory=lambda: deque(maxlen=DEATHS_ALLOWED))
    _again_at: float = 0.0
    _unwell_since: float = 0.0

    @property
    def status(self) -> ComponentStatus:
        """How it is now."""
        return ComponentStatus(self.program.name, self.state, self.started, self.restarts, self.log)

    def start(self) -> None:
        """Start the program."""
        self._process = start(self.program.command, self.program.environment, self.log, self.folder)
        self.state = "starting"
        self._unwell_since = time.monotonic()
        self.started = Started.of(self._process.pid)

    def check(self) -> bool:
        """Notice a death, and start it again after a pause that grows; tell whether it died just now."""
        if self._process is not None and (self._process.poll() is not None or self._hangs()):
            self._died()
            return True
        if self.state == "waiting" and time.monotonic() >= self._again_at:
            self.restarts += 1
            self.start()
        return False

    def judge(self, seen_well_at: float | None) -> None:
        """Take in when the program was last seen well, if it is; what was before its start does not count."""
        if self.started is None or self.state in ("waiting", "failed"):
            return
        if seen_well_at is not None and seen_well_at > self.started.at:
            self.state = "healthy"
        elif self.state == "healthy":
            self.state = "unhealthy"
            self._unwell_since = time.monotonic()

    def renew(self) -> None:
        """Start the program anew, so that it reads its project again."""
        self.end()
        self.start()

    def end(self) -> None:
        """Kill what is left of the program and of its children."""
        if self.started:
            kill(session_members([self.started]))
        if self._process is not None:
            self._process.wait()
        self._process = None
        self.started = None
        self.state = "stopped"

    def _hangs(self) -> bool:
        return self.state != "healthy" and time.monotonic() > self._unwell_since + HANGS_AFTER

    def _died(self) -> None:
        self.end()
        now = time.monotonic()
        self._deaths.append(now)
        recent = sum(now - death < DEATHS_WITHIN for death in self._deaths)
        self.state = "failed" if recent >= DEATHS_ALLOWED else "waiting"
        self._again_at = now + 0.25 * 2.0**recent
