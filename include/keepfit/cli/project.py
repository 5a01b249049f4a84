"""The project a command is about, and its stores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from keepfit.errors import SpecError
from keepfit.plugins import use_plugins
from keepfit.spec import Locations, Project, load_project
from keepfit.spec.load import FEATURE_REPO

Root = Annotated[
    Path | None,
    typer.Option(
        "--root", help="The project's folder. The nearest one up from here that holds feature_repo/."
    ),
]


def find_root(given: Path | None) -> Path:
    """Return the project's root: the given folder, or the nearest one up from here that is a project."""
    start = (given or Path.cwd()).absolute()
    if start.name == FEATURE_REPO:
        return start.parent
    for folder in (start,) if given else (start, *start.parents):
        if (folder / FEATURE_REPO).is_dir():
            return folder
    where = f"{start} holds no" if given else f"Neither {start} nor a folder above it holds a"
    raise SpecError(
        f"{where} {FEATURE_REPO}/. Go to a project, name it with --root, or begin one with `keepfit new DIR`."
    )


def open_project(given: Path | None) -> Project:
    """Load the project, with its own plugins within reach."""
    root = find_root(given)
    use_plugins(root)
    return load_project(root)


@contextmanager
def open_stores(project: Project) -> Iterator[Locations]:
    """Make the project's databases available, migrated, for as long as the block lasts."""
    from keepfit.embedded.stores import stores

    share_settings()
    with _shared_server(project), stores(project) as locations:
        yield locations


@contextmanager
def _shared_server(project: Project) -> Iterator[None]:
    """Let releases be verified against the prediction server of `keepfit up`, if it runs."""
    from keepfit.embedded.status import read_status
    from keepfit.spec.serving import SERVERS

    status = read_status(project.locations.home)
    if SERVERS in os.environ or not (status.running and status.serving_url):
        yield
        return
    os.environ[SERVERS] = status.serving_url
    try:
        yield
    finally:
        del os.environ[SERVERS]


def share_settings() -> None:
    """Set for this process what holds for all of keepfit's, where nobody has set it otherwise."""
    from keepfit.embedded.settings import SHARED

    for name, value in SHARED.items():
        if not name.startswith("AIRFLOW"):
            os.environ.setdefault(name, value)
