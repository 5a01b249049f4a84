"""Which versions of a model score a window, and where their predictions go."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keepfit.errors import RegistryError
from keepfit.pipeline.snapshot import Snapshot

if TYPE_CHECKING:
    from keepfit.backends.model_registry import LoadedModel

CHAMPION, CHOSEN, SHADOW = "champion", "chosen", "shadow"
"""The role of a prediction: by the live version, by one the trigger named, by one that scores beside."""
_SETTLED = "versions"


@dataclass(frozen=True)
class Scoring:
    """A version that scores, and in which role."""

    model: "LoadedModel"
    role: str

    @property
    def file(self) -> str:
        """The file of its predictions in the run's folder."""
        return "shadow.parquet" if self.role == SHADOW else "predictions.parquet"

    def table(self, model: str) -> str:
        """Name the table its predictions are published in."""
        own = {CHAMPION: "", SHADOW: "__shadow"}.get(self.role, f"__version_{self.model.version}")
        return f"predictions__{model}{own}"


@dataclass(frozen=True)
class Chosen:
    """The versions that score: the one whose answers count, and perhaps a challenger beside it."""

    scoring: Sequence[Scoring] = ()
    warnings: Sequence[str] = ()
    """Why a challenger does not score."""


def choose(snapshot: Snapshot, offered: Sequence[str]) -> Chosen:
    """Choose who scores: a version the trigger named alone, else the champion and the challenger beside it.

    A retry keeps to what the first try chose. A challenger that cannot score does not stop the champion.

    Args:
        snapshot: The run's.
        offered: The features that there are.
    """
    from keepfit.backends.model_registry import ModelRegistry

    name, at = snapshot.the_model.name, snapshot.locations
    registry = ModelRegistry(at.tracking_uri, at.artifacts)
    if not snapshot.folder.has(_SETTLED):
        settled = _choose(snapshot, registry.alias(name, "champion"), registry.alias(name, "challenger"))
        if not settled:
            return Chosen()
        snapshot.folder.write(_SETTLED, settled)
    scoring, warnings = [], []
    for role, version in _in_order(snapshot.folder.read(_SETTLED)):
        try:
            model = registry.load(name, version)
        except RegistryError as error:
            if role != SHADOW:
                raise
            warnings.append(f"The challenger does not score beside the champion: {error}")
            continue
        if role == SHADOW and (absent := [each for each in model.features if each not in offered]):
            warnings.append(
                f"The challenger, version {version}, does not score beside the champion: it needs "
                f"{', '.join(absent)}, which {snapshot.the_model.features!r} does not offer."
            )
            continue
        scoring.append(Scoring(model, role))
    return Chosen(scoring, warnings)


def _choose(snapshot: Snapshot, champion: str | None, challenger: str | None) -> dict[str, Any]:
    named = snapshot.settings.get("version")
    if named and str(named) != champion:
        return {CHOSEN: str(named)}
    if champion is None:
        return {}
    beside = {SHADOW: challenger} if challenger not in (None, champion) and not named else {}
    return {CHAMPION: champion, **beside}


def _in_order(settled: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield role and version, the one whose answers count first."""
    yield from ((role, settled[role]) for role in (CHAMPION, CHOSEN, SHADOW) if role in settled)
