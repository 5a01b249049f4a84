"""What was served last, on this machine's disk: a worker begins with it when the registry is away."""

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd

from keepfit.backends import model_files
from keepfit.backends.coded_model import CodedModel
from keepfit.backends.lock import alone
from keepfit.backends.model_registry import ModelRegistry
from keepfit.errors import UntrustedModelError

_LIVE, _RECORDED, _REFERENCE, _MODEL = "live.json", "recorded.json", "reference.parquet", "model"

Loaded = tuple[CodedModel, pd.DataFrame]
"""A model and its reference rows, both as they were recorded."""


@dataclass(frozen=True)
class LastLive:
    """Who was live, as far as this machine knows."""

    champion: str
    since: str | None = None
    challenger: str | None = None
    share: float = 0.0


@dataclass(frozen=True)
class Recorded:
    """The SHA-256 of what belongs to a version, as the registry has them."""

    files: dict[str, str]
    reference: str


class Copies:
    """The copies of one model's versions, shared by the workers of a machine."""

    def __init__(self, folder: Path, model: str) -> None:
        """Refer to a folder, which only its owner may enter."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder / model
        self._model = model

    def fetch(self, registry: ModelRegistry, version: str) -> Loaded:
        """Return a version and its reference rows, copied here if they are not yet.

        Raises:
            RegistryError: The registry is away, or has no such version.
            UntrustedModelError: Its files are not those recorded.
        """
        details = registry.details(self._model, version)
        recorded = Recorded(dict(details.files), details.reference_sha256)
        with alone(self._folder / ".lock"):
            if self._recorded(version) == recorded:
                try:
                    return self._read(version, recorded)
                except UntrustedModelError:
                    pass  # This machine's copy is damaged; the registry's may not be.
            self._copy(registry, version, recorded)
            return self._read(version, recorded)

    def read(self, version: str) -> Loaded:
        """Return a version from its copy, if that is as it was recorded.

        Raises:
            UntrustedModelError: There is none, or it has been changed.
        """
        if (recorded := self._recorded(version)) is None:
            raise UntrustedModelError(f"No copy of version {version} of {self._model} is in {self._folder}.")
        return self._read(version, recorded)

    def remember(self, live: LastLive) -> None:
        """Keep who is live, and drop the copies of who is not."""
        with alone(self._folder / ".lock"):
            before = self._live()
            if live != before:
                _write(self._folder / _LIVE, asdict(live))
            kept = {live.champion, live.challenger, before.champion if before else None}
            self._drop_all_but(str(each) for each in kept if each)

    def recall(self) -> LastLive | None:
        """Return who was live; None if nobody ever was."""
        return self._live()

    def _live(self) -> LastLive | None:
        found = _json(self._folder / _LIVE)
        try:
            return LastLive(**found) if found else None
        except TypeError:
            return None

    def _recorded(self, version: str) -> Recorded | None:
        found = _json(self._folder / version / _RECORDED)
        try:
            return Recorded(**found) if found else None
        except TypeError:
            return None

    def _read(self, version: str, recorded: Recorded) -> Loaded:
        folder = self._folder / version
        reference = folder / _REFERENCE
        if not reference.is_file() or model_files.sha256(reference) != recorded.reference:
            raise UntrustedModelError(
                f"The reference rows of version {version} of {self._model} in {folder} have been changed."
            )
        return model_files.load(folder / _MODEL, recorded.files), pd.read_parquet(reference)

    def _copy(self, registry: ModelRegistry, version: str, recorded: Recorded) -> None:
        staging = self._folder / f".{uuid4().hex}"
        staging.mkdir()
        try:
            registry.copy_files(self._model, version, staging / _MODEL)
            shutil.copyfile(registry.reference(self._model, version), staging / _REFERENCE)
            (staging / _RECORDED).write_text(json.dumps(asdict(recorded)))
            model_files.load(staging / _MODEL, recorded.files)
            shutil.rmtree(self._folder / version, ignore_errors=True)
            os.replace(staging, self._folder / version)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _drop_all_but(self, kept: Iterable[str]) -> None:
        names = {*kept, _LIVE, ".lock"}
        for path in self._folder.iterdir():
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)


def _json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: Path, content: dict[str, Any]) -> None:
    staging = path.with_name(f".{uuid4().hex}")
    staging.write_text(json.dumps(content))
    os.replace(staging, path)
