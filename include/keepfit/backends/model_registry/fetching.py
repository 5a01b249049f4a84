"""The files of a version, brought here and held against what was recorded of them."""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from keepfit.backends import model_files
from keepfit.backends.model_registry.loaded import LoadedModel
from keepfit.backends.model_registry.place import Place
from keepfit.backends.model_registry.quiet import mlflow, told
from keepfit.errors import UntrustedModelError

FOLDER = "model"


def load(place: Place, model: str, version: str, recorded: dict[str, str]) -> LoadedModel:
    """Read a version's model, if its files are those recorded."""
    with TemporaryDirectory() as scratch, told(f"The files of version {version} of {model} cannot be read"):
        folder = _fetch(place, f"{_location(place, model, version)}/data/{FOLDER}", Path(scratch))
        return LoadedModel(model, version, model_files.load(folder, recorded))


def copy(place: Place, model: str, version: str, folder: Path) -> None:
    """Copy a version's files into a new folder, as they are."""
    with TemporaryDirectory() as scratch, told(f"The files of version {version} of {model} cannot be read"):
        found = _fetch(place, f"{_location(place, model, version)}/data/{FOLDER}", Path(scratch))
        shutil.copytree(found, folder)


def kept_file(place: Place, model: str, version: str, name: str, *, what: str, digest: str) -> Path:
    """Return a file kept with a version, fetched once and only as it was recorded."""
    kept = place.artifacts / ".fetched" / model / version / name
    if kept.exists() and model_files.sha256(kept) == digest:
        return kept
    with TemporaryDirectory() as scratch, told(f"The {what} of version {version} of {model} is gone"):
        client = place.client()
        run = client.get_run(client.get_model_version(model, version).run_id)
        found = _fetch(place, f"{run.info.artifact_uri}/{name}", Path(scratch))
        if model_files.sha256(found) != digest:
            raise UntrustedModelError(
                f"The {what} of version {version} of {model} is not the one recorded. "
                "Restore it from a backup, or train the model again."
            )
        kept.parent.mkdir(parents=True, exist_ok=True)
        staging = kept.with_name(f".{uuid4().hex}")
        shutil.copyfile(found, staging)
        os.replace(staging, kept)
    return kept


def _location(place: Place, model: str, version: str) -> str:
    client = place.client()
    source = client.get_model_version(model, version).source
    return str(client.get_logged_model(source.removeprefix("models:/")).artifact_location)


def _fetch(place: Place, uri: str, scratch: Path) -> Path:
    """Return a local path of an artifact; one that is local already is not copied."""
    if uri.startswith("file://"):
        return Path(mlflow.artifacts.download_artifacts(uri))
    return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(scratch), tracking_uri=place.uri))
