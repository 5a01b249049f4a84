"""Do the models fit the features? Feast is asked, with a registry made for the question and thrown away."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from keepfit.cli.transform_check import Compiled
from keepfit.errors import FeatureStoreError
from keepfit.spec import DatasetSpec, Locations, ModelSpec, Problem, Project
from keepfit.spec.problem import did_you_mean
from keepfit.steps.leaks import leaks

if TYPE_CHECKING:
    from keepfit.backends.feature_store import FeatureStore, ServiceDescription


@dataclass(frozen=True)
class _Trial:
    """The project with a registry of its own, so that a check registers nothing."""

    root: Path
    locations: Locations
    datasets: Mapping[str, DatasetSpec]


def feature_problems(project: Project, compiled: Compiled) -> Iterator[Problem]:
    """Read features.py, then hold every model against the feature service it names."""
    from keepfit.backends.feature_store import FeatureStore

    with TemporaryDirectory(prefix="keepfit-check-") as folder:
        home = Path(folder)
        locations = replace(
            project.locations,
            home=home,
            feast_registry_url=f"sqlite:///{home / 'registry.db'}",
            feast_online_path=home / "online.db",
        )
        store = FeatureStore(_Trial(project.root, locations, project.datasets), columns=compiled.columns)
        try:
            store.register()
        except FeatureStoreError as error:
            yield from map(_problem, str(error).splitlines())
            return
        for model in project.models.values():
            yield from _model_problems(model, store, project.datasets.get(model.entities.dataset))


def _problem(line: str) -> Problem:
    """Give a line of Feast's door back to the file it is about."""
    file, field, message = (*line.split(": ", 2), "", "")[:3]
    return Problem(file, field, message) if file.startswith("datasets/") else Problem("features.py", "", line)


def _model_problems(model: ModelSpec, store: "FeatureStore", rows: DatasetSpec | None) -> Iterator[Problem]:
    file = f"models/{model.name}.yaml"
    try:
        service = store.service(model.features)
    except FeatureStoreError as error:
        yield Problem(file, "features", str(error))
        return
    for column in model.monitor.drift.columns if model.monitor.drift else ():
        if column not in service.feature_names:
            near = did_you_mean(column, service.feature_names)
            yield Problem(file, "monitor.drift.columns", f"{service.name!r} has no feature {column!r}.{near}")
    if rows:
        yield from leaks(model, service, rows)
        yield from _missing_columns(file, model, service, rows)


def _missing_columns(
    file: str, model: ModelSpec, service: "ServiceDescription", rows: DatasetSpec
) -> Iterator[Problem]:
    given = (*rows.key, *model.entities.columns)
    for column in service.needed_columns:
        if column not in given:
            message = f"lacks {column!r}, which the feature service {service.name!r} needs. Add it."
            yield Problem(file, "entities.columns", message)
