"""A project as a version's record has it, put into a folder of its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from keepfit.pipeline.folder import RunFolder
from keepfit.pipeline.pins import Pins
from keepfit.pipeline.snapshot import SNAPSHOT, Snapshot, open_snapshot
from keepfit.spec import DatasetSpec, Locations, ModelSpec
from keepfit.spec.load import FEATURE_REPO, PROJECT_FILE
from keepfit.spec.project import EngineSpec


@dataclass(frozen=True)
class RestoredProject:
    """The specs a version was trained by. Only published tables are read from where they lie today."""

    root: Path
    locations: Locations
    snapshot: Snapshot

    @classmethod
    def at(cls, root: Path, pins: Pins, today: Locations) -> "RestoredProject":
        """Write the recorded specs below a folder, for what reads them there: a user's `features.py`."""
        folder = RunFolder(root / "run")
        folder.write(SNAPSHOT, dict(pins.snapshot))
        snapshot = open_snapshot(folder.path)
        own = replace(
            today,
            root=root,
            home=root / "home",
            feast_registry_url=f"sqlite:///{root / 'home' / 'registry.db'}",
            feast_online_path=root / "home" / "online.db",
        )
        repo = root / FEATURE_REPO
        project = pins.snapshot["project"] | {"database": "sqlite", "lake": str(today.lake)}
        _write(repo, {PROJECT_FILE: json.dumps(project)} | dict(snapshot.files))
        specs = pins.snapshot["datasets"].items()
        _write(repo, {f"datasets/{name}.yaml": json.dumps(spec) for name, spec in specs})
        return cls(root, own, snapshot)

    @property
    def datasets(self) -> Mapping[str, DatasetSpec]:
        """All datasets of the project."""
        return self.snapshot.datasets

    @property
    def model(self) -> ModelSpec:
        """The model."""
        return self.snapshot.the_model

    @property
    def engine(self) -> EngineSpec:
        """The bounds of the SQL engine."""
        return self.snapshot.project.engine


def _write(repo: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
