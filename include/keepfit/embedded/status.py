"""What a supervisor tells of itself and of what it runs: a small file under the home, replaced as a whole."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from psutil import pid_exists

from keepfit.embedded.credentials import USER
from keepfit.embedded.locks import is_held
from keepfit.embedded.ports import Ports
from keepfit.embedded.private import write_private
from keepfit.embedded.processes import Started

SERVING = "serving"
"""The component that answers requests for predictions."""
Phase = Literal["stopped", "starting", "up", "stopping", "failed"]
ComponentState = Literal["starting", "healthy", "unhealthy", "waiting", "failed", "stopped"]
"""`waiting`: it died and is started again soon. `failed`: it died too often and is left alone."""


@dataclass(frozen=True)
class ComponentStatus:
    """One program of the supervisor."""

    name: str
    state: ComponentState
    started: Started | None
    restarts: int
    log: Path

    @property
    def pid(self) -> int | None:
        """The program's process id."""
        return self.started.pid if self.started else None

    def last_lines(self, count: int = 15) -> str:
        """Return the end of the program's log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 400 * count))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])


@dataclass(frozen=True)
class Status:
    """A project's embedded profile at a moment."""

    home: Path
    phase: Phase = "stopped"
    doing: str = ""
    """What it does now, for people."""
    problem: str = ""
    """Why it failed."""
    supervisor: Started | None = None
    ports: Ports | None = None
    components: tuple[ComponentStatus, ...] = ()

    @property
    def running(self) -> bool:
        """Whether a supervisor is at work."""
        return self.phase in ("starting", "up", "stopping")

    @property
    def healthy(self) -> bool:
        """Whether everything runs and says that it is well."""
        return self.phase == "up" and all(each.state == "healthy" for each in self.components)

    @property
    def airflow_url(self) -> str | None:
        """Address of Airflow's UI and REST API."""
        return self.ports.airflow_url if self.ports else None

    @property
    def mlflow_url(self) -> str | None:
        """Address of MLflow's UI."""
        return self.ports.mlflow_url if self.ports else None

    @property
    def serving_url(self) -> str | None:
        """Address of the prediction server; None where there is none."""
        serves = any(each.name == SERVING for each in self.components)
        return self.ports.serving_url if self.ports and serves else None

    @property
    def user(self) -> str:
        """Who can log in to Airflow."""
        return USER

    @property
    def password_file(self) -> Path:
        """Airflow's file of users and passwords; only its owner can read it."""
        return self.home / "secrets" / "passwords.json"

    @property
    def password(self) -> str:
        """The user's password."""
        return str(json.loads(self.password_file.read_text())[USER])


def lock_path(home: Path) -> Path:
    """Name the lock a supervisor holds for life."""
    return home / "supervisor.lock"


def write_status(status: Status) -> None:
    """Store what a supervisor tells."""
    write_private(_path(status.home), json.dumps(asdict(status), indent=1, default=str))


def read_status(home: Path) -> Status:
    """Read what the last supervisor told; one that is dead by now runs nothing."""
    path = _path(home)
    told = _parse(json.loads(path.read_text())) if path.exists() else Status(home)
    # Its successor may hold the lock by now and have told nothing yet.
    works = is_held(lock_path(home)) and told.supervisor is not None and pid_exists(told.supervisor.pid)
    if told.running and not works:
        return replace(
            told, phase="failed", problem="The supervisor was killed. `keepfit down` clears up after it."
        )
    return told


def _path(home: Path) -> Path:
    return home / "supervisor.json"


def _parse(stored: Mapping[str, Any]) -> Status:
    components = (
        ComponentStatus(**{**each, "started": _started(each["started"]), "log": Path(each["log"])})
        for each in stored["components"]
    )
    return Status(
        **{
            **stored,
            "home": Path(stored["home"]),
            "supervisor": _started(stored["supervisor"]),
            "ports": Ports(**stored["ports"]) if stored["ports"] else None,
            "components": tuple(components),
        }
    )


def _started(stored: Mapping[str, Any] | None) -> Started | None:
    return Started(**stored) if stored else None
