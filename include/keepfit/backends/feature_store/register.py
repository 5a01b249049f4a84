"""Puts a repository's features into Feast's registry, when they have changed."""

import hashlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from feast import FeatureStore as Feast
from feast import Project
from feast.errors import ProjectObjectNotFoundException

from keepfit.backends.feature_store.check import Columns, check
from keepfit.backends.feature_store.collect import collect, python_files
from keepfit.backends.feature_store.config import FILE
from keepfit.backends.feature_store.left_out import ready
from keepfit.backends.feature_store.quiet import quiet
from keepfit.spec import DatasetSpec, Locations

_APPLIED = "keepfit.applied"


def digest_of(repo: Path, datasets: Mapping[str, DatasetSpec]) -> str:
    """Return a fingerprint of all that decides what is registered, wherever the project lies."""
    sha = hashlib.sha256()
    for file in (*sorted(python_files(repo)), repo / FILE):
        sha.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    for name, spec in sorted(datasets.items()):
        sha.update(f"{name} {spec.event_time} {spec.description}\0".encode())
    return sha.hexdigest()[:16]


def register(
    feast: Feast,
    repo: Path,
    locations: Locations,
    datasets: Mapping[str, DatasetSpec],
    columns: Mapping[str, Columns],
) -> str:
    """Apply a repository to the registry unless that is what was applied last; return its digest.

    Nothing is ever deleted: what is no longer in the repository stays registered, and what reads a dataset
    whose file has a problem stays registered as it was.

    Raises:
        FeatureStoreError: The repository does not import, or does not fit its datasets.
    """
    digest = digest_of(repo, datasets)
    applied = f"{digest} {locations.lake}"
    if _applied(feast) != applied:
        objects = collect(repo)
        check(objects, locations.lake, datasets, columns)
        with quiet():
            feast.apply([thing for thing in ready(objects) if not isinstance(thing, Project)])
        _let_readers_read(feast)
        # Written last: an apply that is cut short is done again.
        feast.registry.apply_project(Project(name=feast.project, tags={_APPLIED: applied}), commit=True)
        feast.refresh_registry()
    return digest


def _let_readers_read(feast: Feast) -> None:
    """Put a SQLite online store into the mode in which a writer does not hold up its readers."""
    if feast.config.online_store.type == "sqlite":
        connection = sqlite3.connect(feast.config.online_store.path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()


def _applied(feast: Feast) -> str | None:
    try:
        tags: Mapping[str, str] = feast.registry.get_project(feast.project, allow_cache=False).tags
    except ProjectObjectNotFoundException:
        return None
    return tags.get(_APPLIED)
