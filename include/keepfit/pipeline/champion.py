"""The champion as a monitoring run first found it, since it may move while the run goes on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from keepfit.pipeline.snapshot import Snapshot
from keepfit.policy import Champion

if TYPE_CHECKING:
    from keepfit.backends.coding import Kind
    from keepfit.backends.model_registry import ModelRegistry
    from keepfit.backends.version import VersionDetails
    from keepfit.steps.importance import Importances

CHAMPION = "champion"


@dataclass(frozen=True)
class LiveVersion:
    """A version of a model, and what the registry knows of it."""

    version: str
    model: str
    registry: "ModelRegistry"

    @cached_property
    def _details(self) -> "VersionDetails":
        return self.registry.details(self.model, self.version)

    @property
    def features(self) -> tuple[str, ...]:
        """The columns it takes."""
        return tuple(self._details.features)

    @property
    def kinds(self) -> dict[str, "Kind"]:
        """What each of them holds."""
        return dict(self._details.features)

    @property
    def holdout(self) -> Mapping[str, float]:
        """Its metrics on its own holdout."""
        return self._details.metrics

    @property
    def mean_label(self) -> float | None:
        """The mean label of that holdout; None where it was registered without."""
        told = self._details.tags.get("keepfit.mean_label")
        return float(told) if told else None

    @property
    def reference(self) -> Path:
        """A sample of its training rows."""
        return self.registry.reference(self.model, self.version)

    def attached(self, name: str) -> Path | None:
        """Return a file kept beside it; None if it was registered without."""
        from keepfit.backends.version import attached_tag

        if attached_tag(name) not in self._details.tags:
            return None
        return self.registry.attached(self.model, self.version, name)

    @cached_property
    def importances(self) -> "Importances | None":
        """What each feature is worth to it; None where it was registered without."""
        from keepfit.pipeline.describing import IMPORTANCES
        from keepfit.steps.importance import Importances

        file = self.attached(IMPORTANCES)
        return Importances.of_json(json.loads(file.read_text(encoding="utf-8"))) if file else None

    @property
    def signal(self) -> Champion:
        """Its number, and up to when it knew the data, in the policy's terms."""
        as_of = self._details.tags.get("keepfit.as_of")
        return Champion(self.version, datetime.fromisoformat(as_of) if as_of else None)


def find_champion(snapshot: Snapshot) -> LiveVersion | None:
    """Return the champion; None before the first."""
    from keepfit.backends.model_registry import ModelRegistry

    model, folder = snapshot.the_model.name, snapshot.folder
    registry = ModelRegistry(snapshot.locations.tracking_uri, snapshot.locations.artifacts)
    if not folder.has(CHAMPION):
        folder.write(CHAMPION, {"version": registry.champion(model)})
    version = folder.read(CHAMPION)["version"]
    return LiveVersion(version, model, registry) if version else None
