"""The record kept with a version: all from which its training set and model can be made again."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from keepfit.errors import FeatureStoreError, UntrustedModelError
from keepfit.pipeline.git import commit_of
from keepfit.pipeline.snapshot import SNAPSHOT, Snapshot
from keepfit.spec.load import FEATURE_REPO

if TYPE_CHECKING:
    from keepfit.backends.lake_pins import TablePin
    from keepfit.steps.training_set import TrainingSet

INPUTS, PINS = "inputs", "pins"
"""The results of a run under which the inputs, and the whole record, are stored."""


@dataclass(frozen=True)
class Pins:
    """What a version was made from, as its record says it."""

    snapshot: Mapping[str, Any]
    """The run's: resolved specs, the texts of transforms and suites, settings."""
    definitions: Mapping[str, str]
    """The texts that define the features, by path under `feature_repo/`."""
    registry_digest: str
    tables: tuple["TablePin", ...]
    training_set: Mapping[str, Any]
    """Its `digest`, `rows_digest`, `entities_digest`, `rows`, `versions` and so on."""
    libraries: Mapping[str, str]
    plugins: Mapping[str, str]
    """SHA-256 of each of the project's own modules under `plugins/`."""
    git_commit: str | None
    trained: Mapping[str, Any]
    """The challenger: its place among the candidates, its parameters, the SHA-256 of its files."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a version's record.

        Raises:
            UntrustedModelError: It names a file outside the folder that it is to be put back into.
        """
        from keepfit.backends.lake_pins import TablePin

        stored = json.loads(path.read_text(encoding="utf-8"))
        _refuse_outside(
            [*stored["definitions"], *stored["snapshot"]["files"], *stored["snapshot"]["datasets"]]
        )
        tables = tuple(TablePin.read(each) for each in stored["tables"])
        return cls(**stored | {"tables": tables})


def _refuse_outside(names: Iterable[str]) -> None:
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise UntrustedModelError(
                f"The version's record names the file {name!r}, which is outside feature_repo/. "
                "No training writes such a record: find out who changed it."
            )


def pin_inputs(snapshot: Snapshot, built: "TrainingSet") -> None:
    """Note in a run's folder what its training set was made from.

    Raises:
        FeatureStoreError: The features were edited meanwhile.
    """
    from keepfit.backends import libraries
    from keepfit.backends.lake import Lake
    from keepfit.backends.lake_pins import TablePin

    definitions = _definitions(snapshot, built.registry_digest)
    lake = Lake(snapshot.locations.lake)
    snapshot.folder.write(
        INPUTS,
        {
            "snapshot": snapshot.folder.read(SNAPSHOT),
            "definitions": definitions,
            "registry_digest": built.registry_digest,
            "tables": [TablePin.of(lake, *each).as_dict() for each in sorted(built.versions.items())],
            "training_set": built.as_dict() | {"path": "training_set.parquet"},
            "libraries": libraries.installed(),
            "plugins": plugin_digests(snapshot.root),
            "git_commit": commit_of(snapshot.root),
        },
    )


def _definitions(snapshot: Snapshot, digest: str) -> dict[str, str]:
    """Return the texts of the features as they are registered, also while an edit of them waits."""
    from keepfit.backends.feature_store import definitions_digest, kept_definitions, read_definitions

    if (kept := kept_definitions(snapshot.locations, digest)) is not None:
        return kept
    definitions = read_definitions(snapshot.root / FEATURE_REPO)
    if definitions_digest(definitions, snapshot.datasets) != digest:
        raise FeatureStoreError(
            f"The features in {snapshot.root / FEATURE_REPO} are not those that {snapshot.the_model.name} "
            "is trained on, so this could not be built again. See `keepfit plan`, then `keepfit apply`."
        )
    return definitions


def write_pins(snapshot: Snapshot, trained: Mapping[str, Any]) -> Path:
    """Write the whole record, now that it is known which candidate is registered; return its file."""
    snapshot.folder.write(PINS, snapshot.folder.read(INPUTS) | {"trained": dict(trained)})
    return snapshot.folder.file(f"{PINS}.json")


def plugin_digests(root: Path) -> dict[str, str]:
    """Return the SHA-256 of each module under a project's `plugins/`."""
    from keepfit.backends.model_files import sha256

    folder = root / "plugins"
    return {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(folder.rglob("*.py"))}
