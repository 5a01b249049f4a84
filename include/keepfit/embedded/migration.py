"""Airflow's own tables and pools, brought to this version once."""

import json
import subprocess
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from keepfit.embedded.components import PYTHON
from keepfit.embedded.private import write_private
from keepfit.embedded.processes import start
from keepfit.embedded.settings import pools, process_environment
from keepfit.errors import EmbeddedError
from keepfit.spec import Project

Wait = Callable[[subprocess.Popen[bytes]], int]
"""Waits for a program's end and returns its exit code."""


def migrate(project: Project, url: str, environment: Mapping[str, str], wait: Wait) -> None:
    """Prepare Airflow's database and the project's stores, side by side.

    Raises:
        EmbeddedError: One of them failed; the text ends with its log.
    """
    home = project.locations.home
    logs = home / "logs"
    whole = process_environment(environment)
    stores = start(
        (*PYTHON, "keepfit.embedded.prepare", str(project.root)), whole, logs / "prepare.log", home
    )
    definition = json.dumps(pools(project.spec.slots))
    marker = home / "prepared" / "airflow.json"
    if not _is_done(marker, url, definition):
        definitions = home / "airflow" / "pools.json"
        write_private(definitions, definition)
        for arguments in (("db", "migrate"), ("pools", "import", str(definitions))):
            airflow = start((*PYTHON, "airflow", *arguments), whole, logs / "migrate.log", home)
            _succeed(wait(airflow), f"airflow {' '.join(arguments[:2])}", logs / "migrate.log")
        write_private(marker, json.dumps(_facts(url, definition)))
    _succeed(wait(stores), "Preparing ledger, model registry and feature store", logs / "prepare.log")


def _is_done(marker: Path, url: str, definition: str) -> bool:
    return marker.exists() and json.loads(marker.read_text()) == _facts(url, definition)


def _facts(url: str, definition: str) -> dict[str, str | None]:
    return {"airflow": version("apache-airflow"), "url": url, "pools": definition, "tables": _revision(url)}


def _revision(url: str) -> str | None:
    try:
        with create_engine(url, poolclass=NullPool).connect() as connection:
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    except SQLAlchemyError:
        return None


def _succeed(code: int, what: str, log: Path) -> None:
    if code:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise EmbeddedError(f"{what} failed ({code}). The end of {log}:\n{end}")
