"""Whose features a feature store is of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from keepfit.spec import DatasetSpec, Locations


class HasStores(Protocol):
    """A project, or a run's snapshot of one."""

    @property
    def root(self) -> Path:
        """The project's root, which holds `feature_repo/`."""

    @property
    def locations(self) -> Locations:
        """Where the project's stores are."""

    @property
    def datasets(self) -> Mapping[str, DatasetSpec]:
        """The project's datasets."""
