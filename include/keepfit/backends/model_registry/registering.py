"""Make a version of a model's files: a run with its metrics and data set, a logged model, a number."""

import shutil
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from keepfit.backends import model_files
from keepfit.backends.lock import alone
from keepfit.backends.model_registry.fetching import FOLDER
from keepfit.backends.model_registry.place import Place
from keepfit.backends.model_registry.quiet import MlflowException, mlflow, told, without_advice
from keepfit.backends.version import RUN, VersionDetails

REFERENCE_FILE, PINS_FILE = "reference.parquet", "pins.json"
_REQUIRED = {
    "lightgbm": ("lightgbm",),
    "xgboost": ("xgboost",),
    "skops": ("scikit-learn", "skops"),
}
_DIGEST_LENGTH = 36
"""As long as MLflow lets a dataset's digest be; a tag holds the whole."""


@dataclass(frozen=True)
class Files:
    """What a version is made of."""

    folder: Path
    """The model's files, as `VersionDetails.files` has them."""
    reference: Path
    training_set: Path
    digest: str
    """The training set's SHA-256."""
    pins: Path | None


def register(place: Place, model: str, files: Files, details: VersionDetails) -> str:
    """Make a version, or return the one that the run has made already."""
    run = details.tags[RUN]
    with alone(place.lock(f"register__{model}")), told(f"{model} cannot be registered"):
        if made := [each.version for each in versions(place, model) if each.tags.get(RUN) == run]:
            return str(made[0])
        experiment = _experiment(place, model)
        _drop_half_done(place, experiment, run)
        return create_version(place, model, details, *log(place, model, experiment, files, details))


def versions(place: Place, model: str) -> list[ModelVersion]:
    """List a model's versions, oldest first."""
    found, token, client = [], None, place.client()
    while True:
        page = client.search_model_versions(f"name='{model}'", max_results=1000, page_token=token)
        found += list(page)
        token = page.token
        if not token:
            return sorted(found, key=lambda each: int(each.version))


def log(place: Place, model: str, experiment: str, files: Files, details: VersionDetails) -> tuple[str, str]:
    """Write run, metrics, dataset, reference and model; return the ids of run and logged model."""
    mlflow.set_tracking_uri(place.uri)
    mlflow.set_registry_uri(place.uri)
    run = place.client().create_run(experiment, tags=dict(details.tags), run_name=details.tags[RUN])
    with without_advice(), mlflow.start_run(run.info.run_id), TemporaryDirectory() as scratch:
        source, name = resolve_dataset_source(str(files.training_set)), f"{model}_training_set"
        data = MetaDataset(source, name=name, digest=files.digest[:_DIGEST_LENGTH])
        mlflow.log_params(dict(details.params))
        mlflow.log_input(data, context="training")
        mlflow.log_artifact(str(shutil.copyfile(files.reference, Path(scratch) / REFERENCE_FILE)))
        if files.pins is not None:
            mlflow.log_artifact(str(shutil.copyfile(files.pins, Path(scratch) / PINS_FILE)))
        logged = mlflow.pyfunc.log_model(
            name=FOLDER,
            loader_module="keepfit.backends.pyfunc",
            data_path=str(shutil.copytree(files.folder, Path(scratch) / FOLDER)),
            signature=_signature(details),
            # Else MLflow loads the model in another process to find them out: 16 s, not 0.4 s.
            pip_requirements=_requirements(model_files.read_card(files.folder).flavor),
        )
        mlflow.log_metrics(dict(details.metrics), model_id=logged.model_id, dataset=data)
    return run.info.run_id, logged.model_id


def create_version(place: Place, model: str, details: VersionDetails, run_id: str, model_id: str) -> str:
    """Give the logged model a number."""
    client = place.client()
    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        model, f"models:/{model_id}", run_id, tags=details.all_tags(), model_id=model_id
    )
    return str(made.version)


def _experiment(place: Place, model: str) -> str:
    client = place.client()
    if found := client.get_experiment_by_name(model):
        return str(found.experiment_id)
    location = None if place.served else (place.artifacts / model).as_uri()
    return str(client.create_experiment(model, artifact_location=location))


def _drop_half_done(place: Place, experiment: str, run: str) -> None:
    """Delete what an interrupted try has left."""
    client = place.client()
    for each in client.search_runs([experiment], f"tags.`{RUN}` = '{run}'"):
        client.delete_run(each.info.run_id)


def _signature(details: VersionDetails) -> ModelSignature:
    kinds = {"number": "double", "category": "string"}
    inputs = Schema([ColSpec(kinds[kind], name) for name, kind in details.features.items()])
    return ModelSignature(inputs=inputs, outputs=Schema([ColSpec("double", "score")]))


def _requirements(flavor: str) -> list[str]:
    packages = ("keepfit", "numpy", "pandas", *_REQUIRED[flavor])
    return [f"{package}=={installed_version(package)}" for package in packages]
