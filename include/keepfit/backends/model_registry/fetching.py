"""The files of a version, brought here and held against what was recorded of them."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from mlflow.entities.model_registry import ModelVersion

from keepfit.backends import model_files
from keepfit.backends.model_registry.loaded import LoadedModel
from keepfit.backends.model_registry.place import Place
from keepfit.backends.model_registry.quiet import mlflow, told
from keepfit.errors import UntrustedModelError

FOLDER = "model"


def load(place: Place, found: ModelVersion, recorded: Mapping[str, str]) -> LoadedModel:
    """Read a version's model, if its files are those recorded."""
    with _files_of(place, found) as files:
        return LoadedModel(str(found.name), str(found.version), model_files.load(files, dict(recorded)))


def copy(place: Place, found: ModelVersion, folder: Path) -> None:
    """Copy a version's files into a new folder, as they are."""
    with _files_of(place, found) as files:
        shutil.copytree(files, folder)


def kept_file(place: Place, found: ModelVersion, name: str, *, what: str, digest: str) -> Path:
    """Return a file kept with a version, fetched once and only as it was recorded."""
    model, version = str(found.name), str(found.version)
    kept = place.artifacts / ".fetched" / model / version / name
    if kept.exists() and model_files.sha256(kept) == digest:
        return kept
    with TemporaryDirectory() as scratch, told(f"The {what} of version {version} of {model} is gone"):
        run = place.client().get_run(found.run_id)
        fetched = _fetch(place, f"{run.info.artifact_uri}/{name}", Path(scratch))
        if model_files.sha256(fetched) != digest:
            raise UntrustedModelError(
                f"The {what} of version {version} of {model} is not the one recorded. "
                "Restore it from a backup, or train the model again."
            )
        kept.parent.mkdir(parents=True, exist_ok=True)
        staging = kept.with_name(f".{uuid4().hex}")
        shutil.copyfile(fetched, staging)
        os.replace(staging, kept)
    return kept


@contextmanager
def _files_of(place: Place, found: ModelVersion) -> Iterator[Path]:
    what = f"The files of version {found.version} of {found.name} cannot be read"
    with TemporaryDirectory() as scratch, told(what):
        logged = place.client().get_logged_model(found.source.removeprefix("models:/"))
        yield _fetch(place, f"{logged.artifact_location}/data/{FOLDER}", Path(scratch))


def _fetch(place: Place, uri: str, scratch: Path) -> Path:
    """Return a local path of an artifact; one that is local already is not copied."""
    if uri.startswith("file://"):
        return Path(mlflow.artifacts.download_artifacts(uri))
    return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(scratch), tracking_uri=place.uri))
