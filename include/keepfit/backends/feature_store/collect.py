"""Reads the Feast objects that a repository's Python files define."""

import importlib
import linecache
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from threading import Lock
from types import CodeType, ModuleType
from typing import Any

from feast import Entity, FeatureService, Project
from feast.base_feature_view import BaseFeatureView
from feast.data_source import DataSource
from feast.permissions.permission import Permission
from feast.repo_operations import get_repo_files

from keepfit.errors import FeatureStoreError

_KINDS = (Project, Entity, DataSource, BaseFeatureView, FeatureService, Permission)
_IMPORTING = Lock()


class _Source(SourceFileLoader):
    """Reads no bytecode: it would hide an edit that keeps a file's size, within the same second."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the source as it is now."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder(MetaPathFinder):
    """Finds a repository's own modules."""

    def __init__(self, modules: Mapping[str, Path]) -> None:
        """Find each module in its file."""
        self._modules = modules

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - importlib's signature
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Find a module of the repository; leave all others to Python."""
        if (file := self._modules.get(fullname)) is None:
            return None
        return spec_from_file_location(fullname, file, loader=_Source(fullname, str(file)))


def collect(repo: Path) -> list[Any]:
    """Import a repository's modules anew and return the Feast objects at their top level, once each.

    Feast's own `parse_repo` needs the process to be in the repository's folder, and keeps the modules
    of the repository it saw first.
    """
    repo = repo.resolve()
    modules = {".".join(file.relative_to(repo).with_suffix("").parts): file for file in python_files(repo)}
    objects: dict[int, Any] = {}
    with _IMPORTING, _importable(repo, modules):
        for name, file in modules.items():
            found = vars(_import(name, file))
            objects |= {id(value): value for value in found.values() if isinstance(value, _KINDS)}
    return list(objects.values())


def python_files(repo: Path) -> list[Path]:
    """Return the files that Feast reads: all but those in `.feastignore`."""
    return list(get_repo_files(repo))


def _import(name: str, file: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise FeatureStoreError(
            f"{file} does not import: {type(error).__name__}: {error}. "
            "Correct it; until then the features as registered last stay in use."
        ) from error


@contextmanager
def _importable(repo: Path, modules: Mapping[str, Path]) -> Iterator[None]:
    """Let modules be imported from a folder, and forget them afterwards."""
    hidden = {name: sys.modules.pop(name) for name in modules if name in sys.modules}
    sys.path.insert(0, str(repo))
    importlib.invalidate_caches()
    # Feast takes an on-demand view's text from the lines that Python remembers, also of an older file.
    linecache.clearcache()
    finder = _Finder(modules)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.path.remove(str(repo))
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)
