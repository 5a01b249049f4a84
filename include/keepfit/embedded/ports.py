"""Free ports on loopback, the same ones for a project as long as nobody else takes them."""

import socket
import time
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from keepfit.errors import EmbeddedError

HOST = "127.0.0.1"
_FIRST, _LAST = 8100, 9900
"""Below the ports that systems give to outgoing connections."""


@dataclass(frozen=True)
class Ports:
    """Where a project's user interfaces listen."""

    airflow: int
    mlflow: int
    serving: int = 0

    @property
    def airflow_url(self) -> str:
        """Address of Airflow's UI and REST API."""
        return f"http://{HOST}:{self.airflow}"

    @property
    def mlflow_url(self) -> str:
        """Address of MLflow's UI."""
        return f"http://{HOST}:{self.mlflow}"

    @property
    def serving_url(self) -> str:
        """Address of the prediction server."""
        return f"http://{HOST}:{self.serving}"


def choose_ports(home: Path, previous: Ports | None = None) -> Ports:
    """Choose free ports: the previous ones, else the first free ones from a place of the home's own."""
    start = zlib.crc32(str(home).encode()) % 800 + _FIRST
    wishes: Ports = previous or Ports(start, start + 1, start + 2)
    airflow = _first_free(wishes.airflow, start, taken=(wishes.mlflow, wishes.serving))
    mlflow = _first_free(wishes.mlflow, start, taken=(airflow, wishes.serving))
    return Ports(airflow, mlflow, _first_free(wishes.serving or start, start, taken=(airflow, mlflow)))


def is_free(port: int, within: float = 0.0) -> bool:
    """Tell whether a server can listen on a port of loopback, now or within seconds."""
    end = time.monotonic() + within
    while not _can_listen(port):
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _first_free(wish: int, start: int, taken: Collection[int]) -> int:
    for port in chain([wish], range(start, _LAST)):
        if port not in taken and is_free(port):
            return port
    raise EmbeddedError(
        f"No port between {start} and {_LAST} of {HOST} is free. Stop a server that holds one."
    )
