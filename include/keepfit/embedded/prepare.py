"""Brings a project's stores to this version, once, before anything parallel uses them.

`python -m keepfit.embedded.prepare ROOT` does it in a process of its own, with the stores of the environment.
"""

import hashlib
import json
import logging
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from keepfit import __version__
from keepfit.embedded.locks import alone
from keepfit.embedded.private import write_private
from keepfit.errors import KeepfitError
from keepfit.spec import Project, load_project

_log = logging.getLogger(__name__)
_MIGRATIONS = "keepfit.ledger.migrations.versions"


def prepare(project: Project) -> None:
    """Migrate ledger and model registry and register the feature repository, unless that is done already."""
    for name in _PARTS:
        _prepare_part(project, name)


def main(root: str) -> int:
    """Prepare a project's stores; a feature repository that does not load is told, and stops nothing else."""
    project = load_project(Path(root))
    for name in ("ledger", "mlflow"):
        _prepare_part(project, name)
    try:
        _prepare_part(project, "feast")
    except KeepfitError as error:
        _log.warning("The feature repository is not registered: %s", error)
    return 0


def _prepare_part(project: Project, name: str) -> None:
    marker = project.locations.home / "prepared" / f"{name}.json"
    with alone(marker.with_suffix(".lock")):
        wanted = {"state": _wanted(project, name)}
        if marker.exists() and json.loads(marker.read_text()) == wanted and _has_tables(_url(project, name)):
            return
        _PARTS[name](project)
        write_private(marker, json.dumps(wanted))


def _ledger(project: Project) -> None:
    from keepfit.ledger import migrate

    migrate(project.locations.ledger_url)


def _mlflow(project: Project) -> None:
    from keepfit.backends.model_registry import ModelRegistry

    locations = project.locations
    ModelRegistry(locations.tracking_uri, locations.artifacts).initialise()


def _feast(project: Project) -> None:
    from keepfit.backends.feature_store import FeatureStore
    from keepfit.pipeline.planning import adopt

    FeatureStore(project).register()
    adopt(project, "prepare")


_PARTS: Mapping[str, Callable[[Project], None]] = {"ledger": _ledger, "mlflow": _mlflow, "feast": _feast}


def _url(project: Project, name: str) -> str:
    locations = project.locations
    urls = {
        "ledger": locations.ledger_url,
        "mlflow": locations.tracking_uri,
        "feast": locations.feast_registry_url,
    }
    return urls[name]


def _wanted(project: Project, name: str) -> str:
    """Digest what a part depends on: versions, the database, the ledger's migrations, Feast's files."""
    facts = [__version__, _url(project, name)]
    if name == "ledger":
        facts += sorted(file.name for file in files(_MIGRATIONS).iterdir() if file.name.endswith(".py"))
    else:
        facts.append(version(name))
    if name == "feast":
        paths = sorted(path for kind in ("*.py", "*.yaml") for path in project.repo.rglob(kind))
        facts += [f"{path}\n{path.read_text()}" for path in paths]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()


def _has_tables(url: str) -> bool:
    """Tell whether a database still holds anything: its file may have been deleted since."""
    from sqlalchemy import create_engine, inspect, make_url
    from sqlalchemy.pool import NullPool

    if url.startswith("http"):
        return True
    if url.startswith("sqlite") and not Path(make_url(url).database or "").exists():
        return False
    return bool(inspect(create_engine(url, poolclass=NullPool)).get_table_names())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
