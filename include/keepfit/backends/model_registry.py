"""The model registry: versions, their files and lineage, and the champion. The only door to mlflow."""

import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keepfit.backends import model_files
from keepfit.backends.coded_model import CodedModel
from keepfit.backends.lock import alone
from keepfit.backends.version import PINS, RUN, VersionDetails
from keepfit.errors import RegistryError, UntrustedModelError
from keepfit.spec.database_url import store_problem

# MLflow reads these when it is imported, and pyfunc then warns of its own types.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow.pyfunc

from mlflow import MlflowClient
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

# It tells of every database that it makes the tables of a database.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)

CHAMPION = "champion"
_REFERENCE, _PINS = "reference.parquet", "pins.json"
_FOLDER = "model"
_REQUIRED = {
    "lightgbm": ("lightgbm",),
    "xgboost": ("xgboost",),
    "skops": ("scikit-learn", "skops"),
}
_DIGEST_LENGTH = 36
"""As long as MLflow lets a dataset's digest be; a tag holds the whole."""


@dataclass(frozen=True)
class LoadedModel:
    """A version ready to score."""

    name: str
    version: str
    model: CodedModel

    @property
    def flavor(self) -> str:
        """How its files are read."""
        return self.model.flavor

    @property
    def features(self) -> tuple[str, ...]:
        """The columns it takes, in order."""
        return tuple(self.model.coding.features)

    def predict(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Score rows: the probability of the positive class, or the value."""
        return self.model.predict(frame)

    def save(self, folder: Path) -> None:
        """Write the model's files into an existing, empty folder."""
        self.model.save(folder)


class ModelRegistry:
    """An MLflow registry, in a database or behind a server."""

    def __init__(self, tracking_uri: str, artifacts: Path) -> None:
        """Refer to a registry; nothing is opened yet.

        Args:
            tracking_uri: A database's URL, or a server's.
            artifacts: Where files lie if the registry is a database, and where those of a server are kept.

        Raises:
            RegistryError: The URL is none of the two.
        """
        if problem := store_problem(tracking_uri):
            raise RegistryError(f"The model registry's URL, KEEPFIT_TRACKING_URI, {problem}")
        self._uri = tracking_uri
        self._artifacts = artifacts.absolute()
        self._served = tracking_uri.startswith("http")

    def initialise(self) -> None:
        """Create or upgrade the database, once, however many start at the same time."""
        if self._served:
            return
        with alone(self._artifacts / ".locks" / "initialise"):
            from mlflow.db import upgrade

            with _told("The model registry's database cannot be created or upgraded"):
                if self._uri.startswith("sqlite:///"):
                    _use_write_ahead_log(Path(self._uri.removeprefix("sqlite:///")))
                with _tables_as_they_are():
                    upgrade.callback(self._uri)
                self._client().search_experiments(max_results=1)

    def register(
        self,
        model: str,
        folder: Path,
        details: VersionDetails,
        *,
        reference: Path,
        training_set: Path,
        digest: str,
        pins: Path | None = None,
    ) -> str:
        """Make a version of a model's folder and return its number; a run asking again gets the same version.

        Args:
            model: The model's name.
            folder: The model's files, as `details.files` has them.
            details: What to record; its tags name the run.
            reference: The sample of training rows, as Parquet.
            training_set: What it was trained on, as Parquet.
            digest: The training set's SHA-256.
            pins: The record from which the training set can be built again.
        """
        run = details.tags[RUN]
        with alone(self._artifacts / ".locks" / f"register__{model}"), _told(f"{model} cannot be registered"):
            if made := [each.version for each in self._versions(model) if each.tags.get(RUN) == run]:
                return str(made[0])
            experiment = self._experiment(model)
            self._drop_half_done(experiment, run)
            files = {"reference": reference, "training_set": training_set}
            logged = self._log(model, experiment, folder, details, **files, digest=digest, pins=pins)
            return self._create_version(model, details, *logged)

    def versions(self, model: str) -> list[str]:
        """List a model's versions, oldest first."""
        with _told(f"The versions of {model} cannot be listed"):
            return [str(each.version) for each in self._versions(model)]

    def details(self, model: str, version: str) -> VersionDetails:
        """Return what was recorded of a version.

        Raises:
            RegistryError: There is no such version, or keepfit did not register it.
        """
        with _told(f"Version {version} of {model} cannot be read"):
            found = self._client().get_model_version(model, version)
            run = self._client().get_run(found.run_id)
        try:
            return VersionDetails.of(found.tags, run.data.metrics, run.data.params)
        except KeyError as missing:
            raise RegistryError(
                f"Version {version} of {model} has no tag {missing}: keepfit did not register it. "
                "Train the model with keepfit, or choose another version."
            ) from None

    def champion(self, model: str) -> str | None:
        """Return the version that is live; None before the first."""
        with _told(f"The champion of {model} cannot be read"):
            try:
                found = self._client().get_registered_model(model).aliases.get(CHAMPION)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                return None
        return None if found is None else str(found)

    def set_champion(self, model: str, version: str) -> None:
        """Move the alias. Only `steps.deploy` calls this: MLflow neither compares nor remembers."""
        with _told(f"The champion of {model} cannot be set to version {version}"):
            self._client().set_registered_model_alias(model, CHAMPION, version)

    def load(self, model: str, version: str) -> LoadedModel:
        """Read a version's model, if its files are those recorded when it was registered.

        Raises:
            RegistryError: There is no such version.
            UntrustedModelError: Its files have been changed.
        """
        recorded = self.details(model, version).files
        with (
            TemporaryDirectory() as scratch,
            _told(f"The files of version {version} of {model} cannot be read"),
        ):
            folder = self._fetch(f"{self._location(model, version)}/data/{_FOLDER}", Path(scratch))
            return LoadedModel(model, version, model_files.load(folder, recorded))

    def reference(self, model: str, version: str) -> Path:
        """Return a version's sample of training rows: its features, `score` and `label`, as Parquet.

        Raises:
            UntrustedModelError: The file has been changed.
        """
        digest = self.details(model, version).reference_sha256
        return self._kept(model, version, _REFERENCE, "reference sample", digest)

    def pins(self, model: str, version: str) -> Path:
        """Return the record from which a version's training set can be built again.

        Raises:
            RegistryError: None was kept with this version.
            UntrustedModelError: The record has been changed.
        """
        digest = self.details(model, version).tags.get(PINS)
        if digest is None:
            raise RegistryError(
                f"Version {version} of {model} was registered without a record of what it was trained on, "
                "so it cannot be rebuilt. Versions that are trained from now on have one."
            )
        return self._kept(model, version, _PINS, "record of inputs", digest)

    def _kept(self, model: str, version: str, name: str, what: str, digest: str) -> Path:
        """Return a file kept with a version, fetched once and only as it was recorded."""
        kept = self._artifacts / ".fetched" / model / version / name
        if kept.exists() and model_files.sha256(kept) == digest:
            return kept
        with TemporaryDirectory() as scratch, _told(f"The {what} of version {version} of {model} is gone"):
            run = self._client().get_run(self._client().get_model_version(model, version).run_id)
            found = self._fetch(f"{run.info.artifact_uri}/{name}", Path(scratch))
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

    def _client(self) -> MlflowClient:
        with _tables_as_they_are():
            return MlflowClient(self._uri, self._uri)

    def _versions(self, model: str) -> list[ModelVersion]:
        found, token = [], None
        while True:
            page = self._client().search_model_versions(f"name='{model}'", max_results=1000, page_token=token)
            found += list(page)
            token = page.token
            if not token:
                return sorted(found, key=lambda each: int(each.version))

    def _experiment(self, model: str) -> str:
        client = self._client()
        if found := client.get_experiment_by_name(model):
            return str(found.experiment_id)
        location = None if self._served else (self._artifacts / model).as_uri()
        return str(client.create_experiment(model, artifact_location=location))

    def _drop_half_done(self, experiment: str, run: str) -> None:
        """Delete what an interrupted try has left."""
        for each in self._client().search_runs([experiment], f"tags.`{RUN}` = '{run}'"):
            self._client().delete_run(each.info.run_id)

    def _log(
        self,
        model: str,
        experiment: str,
        folder: Path,
        details: VersionDetails,
        *,
        reference: Path,
        training_set: Path,
        digest: str,
        pins: Path | None,
    ) -> tuple[str, str]:
        """Write run, metrics, dataset, reference and model; return the ids of run and logged model."""
        mlflow.set_tracking_uri(self._uri)
        mlflow.set_registry_uri(self._uri)
        run = self._client().create_run(experiment, tags=dict(details.tags), run_name=details.tags[RUN])
        with _without_advice(), mlflow.start_run(run.info.run_id), TemporaryDirectory() as scratch:
            source, name = resolve_dataset_source(str(training_set)), f"{model}_training_set"
            data = MetaDataset(source, name=name, digest=digest[:_DIGEST_LENGTH])
            mlflow.log_params(dict(details.params))
            mlflow.log_input(data, context="training")
            mlflow.log_artifact(str(shutil.copyfile(reference, Path(scratch) / _REFERENCE)))
            if pins is not None:
                mlflow.log_artifact(str(shutil.copyfile(pins, Path(scratch) / _PINS)))
            logged = mlflow.pyfunc.log_model(
                name=_FOLDER,
                loader_module="keepfit.backends.pyfunc",
                data_path=str(shutil.copytree(folder, Path(scratch) / _FOLDER)),
                signature=_signature(details),
                # Else MLflow loads the model in another process to find them out: 16 s, not 0.4 s.
                pip_requirements=_requirements(model_files.read_card(folder).flavor),
            )
            mlflow.log_metrics(dict(details.metrics), model_id=logged.model_id, dataset=data)
        return run.info.run_id, logged.model_id

    def _create_version(self, model: str, details: VersionDetails, run_id: str, model_id: str) -> str:
        client = self._client()
        try:
            client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = client.create_model_version(
            model, f"models:/{model_id}", run_id, tags=details.all_tags(), model_id=model_id
        )
        return str(made.version)

    def _location(self, model: str, version: str) -> str:
        source = self._client().get_model_version(model, version).source
        return str(self._client().get_logged_model(source.removeprefix("models:/")).artifact_location)

    def _fetch(self, uri: str, scratch: Path) -> Path:
        """Return a local path of an artifact; one that is local already is not copied."""
        if uri.startswith("file://"):
            return Path(mlflow.artifacts.download_artifacts(uri))
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(scratch), tracking_uri=self._uri))


@contextmanager
def _tables_as_they_are() -> Iterator[None]:
    """Leave out that MLflow's tables, loaded with the first of these, use what SQLAlchemy has given up."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy is deprecated")
        yield


@contextmanager
def _without_advice() -> Iterator[None]:
    """Leave out MLflow's warnings that a local file is a local file, and that there is no input example."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The specified dataset source can be interpreted in multiple ways")
        warnings.filterwarnings("ignore", ".*An input example was not provided")
        yield


def _signature(details: VersionDetails) -> ModelSignature:
    kinds = {"number": "double", "category": "string"}
    inputs = Schema([ColSpec(kinds[kind], name) for name, kind in details.features.items()])
    return ModelSignature(inputs=inputs, outputs=Schema([ColSpec("double", "score")]))


def _requirements(flavor: str) -> list[str]:
    packages = ("keepfit", "numpy", "pandas", *_REQUIRED[flavor])
    return [f"{package}=={installed_version(package)}" for package in packages]


def _use_write_ahead_log(file: Path) -> None:
    """Halve the time writers wait for each other; the setting stays with the file."""
    import sqlite3

    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say what did not work, for MLflow's errors say only how."""
    try:
        yield
    except (MlflowException, OSError) as error:
        raise RegistryError(f"{what}: {_first_line(error)}") from error


def _first_line(error: Any) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
