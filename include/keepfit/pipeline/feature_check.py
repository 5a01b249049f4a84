"""Do the models fit the features? Feast is asked, with a registry made for the question and thrown away."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from keepfit.errors import FeatureStoreError
from keepfit.spec import DatasetSpec, ModelSpec, Problem, Project
from keepfit.spec.content import Contents
from keepfit.spec.problem import did_you_mean
from keepfit.steps.leaks import leaks

if TYPE_CHECKING:
    from keepfit.backends.feature_store import FeatureStore, ServiceDescription
    from keepfit.backends.feature_store.check import Columns


def feature_problems(project: Project, columns: Mapping[str, "Columns"]) -> tuple[Problem, ...]:
    """Read features.py, then hold every model against the feature service it names."""
    return try_features(project, columns)[1]


def try_features(
    project: Project, columns: Mapping[str, "Columns"] | None = None
) -> tuple[Contents, tuple[Problem, ...]]:
    """Return what the registry would hold, and what is wrong with it; of what is broken, nothing."""
    from keepfit.backends.feature_store import FeatureStore, online_store_of

    with FeatureStore(project, project.spec.engine, columns).trial() as store:
        try:
            store.register()
        except FeatureStoreError as error:
            return {}, tuple(map(_problem, str(error).splitlines()))
        named = online_store_of(project.repo)
        problems = (
            problem
            for model in project.models.values()
            for problem in _model_problems(model, store, project.datasets.get(model.entities.dataset))
        )
        return {**store.registered(), named.label: named}, tuple(problems)


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
