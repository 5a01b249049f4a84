"""Puts a repository's features into Feast's registry: new ones by itself, an edit when it is applied."""

import hashlib
import logging
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from feast import FeatureStore as Feast
from feast import Project
from feast.errors import ProjectObjectNotFoundException
from sqlalchemy.exc import OperationalError

from keepfit.backends.feature_store.check import Columns, check
from keepfit.backends.feature_store.collect import collect, python_files
from keepfit.backends.feature_store.config import FILE
from keepfit.backends.feature_store.contents import contents_of
from keepfit.backends.feature_store.left_out import ready
from keepfit.backends.feature_store.quiet import quiet
from keepfit.backends.feature_store.reach import is_sqlite
from keepfit.backends.feature_store.remove import take_off
from keepfit.backends.feature_store.texts import keep_definitions, read_definitions
from keepfit.backends.feature_store.transaction import all_at_once
from keepfit.errors import FeatureStoreError, SpecError
from keepfit.spec import DatasetSpec, Locations
from keepfit.spec.content import Contents

_APPLIED = "keepfit.applied"
_log = logging.getLogger(__name__)


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
    *,
    columns: Mapping[str, Columns],
    wanted: Callable[[], Contents],
) -> str:
    """Put into the registry what is new in a repository; return the digest of what is registered.

    What is registered already neither changes nor goes: until `keepfit apply`, all of such an edit waits,
    and so does one that is broken. What reads a dataset whose file has a problem stays as it was.

    Raises:
        FeatureStoreError: Nothing is registered yet, and the repository does not import or fit its datasets.
    """
    digest, applied = digest_of(repo, datasets), applied_digest(feast, locations)
    if applied == digest:
        return digest
    if applied is not None and (waits := _what_waits(feast, locations, wanted)):
        _log.warning("The features stay as they are registered. %s", waits)
        return applied
    return write(feast, repo, locations, datasets, columns=columns)


def write(
    feast: Feast,
    repo: Path,
    locations: Locations,
    datasets: Mapping[str, DatasetSpec],
    *,
    columns: Mapping[str, Columns],
) -> str:
    """Check a repository, then write it into the registry, all at once; return its digest.

    A removal that was cut short is finished too.
    """
    texts, digest = read_definitions(repo), digest_of(repo, datasets)
    objects = collect(repo)
    check(objects, locations.lake, datasets, columns)
    if read_definitions(repo) != texts:
        raise FeatureStoreError(f"{repo} was edited while its features were registered. Try again.")
    keep_definitions(texts, locations, digest)
    with all_at_once(feast):
        _apply(feast, [thing for thing in ready(objects) if not isinstance(thing, Project)])
        _let_readers_read(feast)
        tags = {**_tags(feast), _APPLIED: f"{digest} {locations.lake}"}
        feast.registry.apply_project(Project(name=feast.project, tags=tags), commit=True)
    take_off(feast)
    feast.refresh_registry()
    return digest


def _apply(feast: Feast, objects: list[Any]) -> None:
    try:
        with quiet():
            feast.apply(objects)
    except OperationalError:
        raise
    except Exception as error:
        raise FeatureStoreError(
            f"Feast does not accept feature_repo/: {type(error).__name__}: {error}. Correct features.py: "
            "Feast runs each on-demand view on made-up rows."
        ) from error


def applied_digest(feast: Feast, locations: Locations) -> str | None:
    """Return the digest of what was written last; an empty one if the lake has moved since, None before."""
    digest, _, lake = _tags(feast).get(_APPLIED, "").partition(" ")
    if not digest:
        return None
    return digest if lake == str(locations.lake) else ""


def _tags(feast: Feast) -> Mapping[str, str]:
    try:
        tags: Mapping[str, str] = feast.registry.get_project(feast.project, allow_cache=False).tags
    except ProjectObjectNotFoundException:
        return {}
    return tags


def _what_waits(feast: Feast, locations: Locations, wanted: Callable[[], Contents]) -> str:
    """Say why an edit is not written by itself; nothing if it only adds."""
    try:
        after = wanted()
    except (FeatureStoreError, SpecError) as error:
        return f"feature_repo/ is broken: {error}"
    before = contents_of(feast, locations.lake)
    waiting = [label for label, content in before.items() if after.get(label) != content]
    if not waiting:
        return ""
    return f"feature_repo/ changes or drops {', '.join(waiting)}: see `keepfit plan`, then `keepfit apply`."


def _let_readers_read(feast: Feast) -> None:
    """Put a SQLite online store into the mode in which a writer does not hold up its readers."""
    if is_sqlite(feast):
        connection = sqlite3.connect(feast.config.online_store.path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.close()
