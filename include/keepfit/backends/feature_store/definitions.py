"""The files that define features: read to be kept with a version, and put back to be used again."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from feast import Project

from keepfit.backends.feature_store.collect import collect
from keepfit.backends.feature_store.config import FILE
from keepfit.backends.feature_store.has_stores import HasStores
from keepfit.backends.feature_store.quiet import quiet
from keepfit.backends.feature_store.register import digest_of
from keepfit.backends.feature_store.store import FeatureStore
from keepfit.spec import DatasetSpec


def definitions_digest(texts: Mapping[str, str], datasets: Mapping[str, DatasetSpec]) -> str:
    """Return the digest `register` gives to features that these texts define."""
    with TemporaryDirectory() as folder:
        repo = Path(folder).resolve()
        _write(texts, repo)
        return digest_of(repo, datasets)


class RestoredStore(FeatureStore):
    """The features as files kept with a version define them, in a registry of their own."""

    def __init__(self, project: HasStores, texts: Mapping[str, str], **options: Any) -> None:
        """Write the texts below the project's root, which is empty but for its specs."""
        super().__init__(project, **options)
        self._digest = definitions_digest(texts, project.datasets)
        _write(texts, self._repo)
        _keep_to_own_stores(self._repo / FILE, project.locations.home)

    def register(self) -> str:
        """Put the features into the empty registry, unchecked against today's tables; return their digest."""
        objects = collect(self._repo)
        with quiet():
            self._feast.apply([thing for thing in objects if not isinstance(thing, Project)])
        self._feast.refresh_registry()
        return self._digest


def _write(texts: Mapping[str, str], repo: Path) -> None:
    for name, text in texts.items():
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _keep_to_own_stores(file: Path, home: Path) -> None:
    """Point Feast at stores in a folder: whatever the text names may be in use."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["registry"] = {"registry_type": "sql", "path": f"sqlite:///{home / 'registry.db'}"}
    content["online_store"] = {"type": "sqlite", "path": str(home / "online.db")}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
