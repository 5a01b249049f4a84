"""All components of one supervisor together: started, watched and stopped as one."""

from collections.abc import Sequence
from pathlib import Path

from keepfit.embedded.components import Component, Program
from keepfit.embedded.health import health
from keepfit.embedded.ports import Ports, is_free
from keepfit.embedded.processes import kill, kill_marked, session_members, stop
from keepfit.embedded.status import SERVING, ComponentStatus, Status, read_status

_STOP_WITHIN = 3.0
_FREED_WITHIN = 2.0
"""A killed server's port is not free at once."""
_SERVERS = ("api-server", "mlflow")


class PortTakenError(Exception):
    """Another program took a port between its choice and its use."""


class Crew:
    """The running components."""

    def __init__(self, home: Path, ports: Ports, programs: Sequence[Program]) -> None:
        """Start every program."""
        self._home = home
        self._ports = ports
        self._port_of = {"api-server": ports.airflow, "mlflow": ports.mlflow, SERVING: ports.serving}
        self._components = [Component(each, home / "logs" / f"{each.name}.log", home) for each in programs]
        for component in self._components:
            component.start()

    @property
    def statuses(self) -> tuple[ComponentStatus, ...]:
        """How each component is."""
        return tuple(component.status for component in self._components)

    @property
    def unwell(self) -> list[str]:
        """Name the components that are not healthy."""
        return [each.name for each in self.statuses if each.state != "healthy"]

    def check(self) -> list[ComponentStatus]:
        """Return the components that died since the last time; each is started again after a pause.

        Raises:
            PortTakenError: One died because its port is another program's.
        """
        dead = [component.status for component in self._components if component.check()]
        for each in dead:
            port = self._port_of.get(each.name)
            if port and not is_free(port, within=_FREED_WITHIN):
                raise PortTakenError
        return dead

    def ask(self) -> None:
        """Ask every component for its health."""
        seen = health(self._ports)
        for component in self._components:
            if component.program.name in seen:
                component.judge(seen[component.program.name])

    def renew(self, name: str) -> None:
        """Start a component anew, if there is one of the name."""
        for component in self._components:
            if component.program.name == name:
                component.renew()

    def stop(self) -> None:
        """Stop every component and all that descends from them."""
        # Whoever ends tells the API server so, which therefore ends last. A task that is killed here starts
        # again with the next `up`: its scheduler finds it without an owner.
        for last in (False, True):
            group = [each.started for each in self.statuses if (each.name in _SERVERS) is last]
            stop([started for started in group if started], _STOP_WITHIN)
        kill_marked(self._home)
        for component in self._components:
            component.end()


def clear_up(home: Path) -> Status:
    """Kill what a killed supervisor left behind and return what it told last; the caller holds its lock."""
    left = read_status(home)
    kill(session_members([each.started for each in left.components if each.started]))
    kill_marked(home)
    return left
