"""Make a version of a model's files: a run with its metrics and data set, a logged model, a number."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import (
    DatasetInput,
    InputTag,
    LoggedModel,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
)
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model, ModelSignature
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
    # Parts of MLflow look where the process is told that it is, else they make a database in this folder.
    mlflow.set_tracking_uri(place.uri)
    mlflow.set_registry_uri(place.uri)
    with alone(place.lock(f"register__{model}")), told(f"{model} cannot be registered"):
        if made := versions(place, model, f" AND tags.`{RUN}` = '{run}'"):
            return str(made[0].version)
        experiment = _experiment(place, model)
        _drop_half_done(place, experiment, run)
        return create_version(place, model, details, *log(place, model, experiment, files, details))


def versions(place: Place, model: str, which: str = "") -> list[ModelVersion]:
    """List a model's versions, oldest first; a condition may leave some out."""
    found, token, client = [], None, place.client()
    while True:
        page = client.search_model_versions(f"name='{model}'{which}", max_results=1000, page_token=token)
        found += list(page)
        token = page.token
        if not token:
            return sorted(found, key=lambda each: int(each.version))


def log(place: Place, model: str, experiment: str, files: Files, details: VersionDetails) -> tuple[str, str]:
    """Write run, metrics, dataset, reference and model; return the ids of run and logged model.

    MLflow's client is told everything: the functions of `mlflow` itself keep the run in the process and read
    it again from the database at each call.
    """
    client = place.client()
    run = client.create_run(experiment, tags=dict(details.tags), run_name=details.tags[RUN]).info.run_id
    params = {name: str(value) for name, value in details.params.items()}
    logged = client.create_logged_model(experiment, name=FOLDER, source_run_id=run, params=params)
    with TemporaryDirectory() as scratch, without_advice():
        client.log_artifacts(run, str(_kept_files(files, Path(scratch) / "kept")))
        client.log_model_artifacts(
            logged.model_id, str(_as_mlflow_model(files, details, logged, Path(scratch)))
        )
        data = MetaDataset(
            resolve_dataset_source(str(files.training_set)),
            name=f"{model}_training_set",
            digest=files.digest[:_DIGEST_LENGTH],
        )
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_inputs(
        run, [DatasetInput(data._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")])]
    )
    client.log_outputs(run, [LoggedModelOutput(logged.model_id, step=0)])
    client.log_batch(
        run,
        metrics=list(_metrics(details, run, logged.model_id, data)),
        params=[Param(name, value) for name, value in params.items()],
    )
    client.set_terminated(run)
    return run, logged.model_id


def _kept_files(files: Files, folder: Path) -> Path:
    """Put together what is kept with the run."""
    folder.mkdir()
    shutil.copyfile(files.reference, folder / REFERENCE_FILE)
    if files.pins is not None:
        shutil.copyfile(files.pins, folder / PINS_FILE)
    return folder


def _as_mlflow_model(files: Files, details: VersionDetails, logged: LoggedModel, scratch: Path) -> Path:
    """Write the folder by which anyone who has MLflow loads the model."""
    folder = scratch / "mlflow"
    mlflow.pyfunc.save_model(
        str(folder),
        loader_module="keepfit.backends.pyfunc",
        data_path=str(shutil.copytree(files.folder, scratch / FOLDER)),
        mlflow_model=Model(
            artifact_path=logged.artifact_location,
            run_id=logged.source_run_id,
            model_id=logged.model_id,
            model_uuid=logged.model_id,
        ),
        signature=_signature(details),
        # Else MLflow loads the model in another process to find them out: 16 s, not 0.2 s.
        pip_requirements=_requirements(model_files.read_card(files.folder).flavor),
    )
    return folder


def _metrics(details: VersionDetails, run: str, model_id: str, data: MetaDataset) -> Iterator[Metric]:
    now = int(time.time() * 1000)
    for name, value in details.metrics.items():
        yield Metric(
            name,
            value,
            now,
            0,
            model_id=model_id,
            dataset_name=data.name,
            dataset_digest=data.digest,
            run_id=run,
        )


def create_version(place: Place, model: str, details: VersionDetails, run_id: str, model_id: str) -> str:
    """Give the logged model a number."""
    client = place.client()
    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        model, f"models:/{model_id}", run_id, tags=details.all_tags(), model_id=model_id, await_creation_for=0
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
