"""Checks what Feast accepts without a look: that views fit the datasets they read."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from feast import Entity, FeatureView
from feast.field import Field

from keepfit.backends.feature_store.lake_source import table_of
from keepfit.backends.feature_store.left_out import left_out
from keepfit.backends.lake import Lake
from keepfit.errors import FeatureStoreError
from keepfit.spec import DatasetSpec
from keepfit.spec.problem import did_you_mean

Columns = Mapping[str, str]
_FITTING = {
    "Float32": {"float64", "int64"},
    "Float64": {"float64", "int64"},
    "Int32": {"int64"},
    "Int64": {"int64"},
    "String": {"string"},
    "Bool": {"bool"},
    "UnixTimestamp": {"timestamp", "date"},
}
"""The published types that a declared one may hold; a type that is not here may hold any."""


def check(
    objects: Sequence[Any], lake: Path, datasets: Mapping[str, DatasetSpec], columns: Mapping[str, Columns]
) -> None:
    """Refuse objects that would fail later, when they are materialised or joined, all reasons at once.

    Args:
        objects: Of a repository.
        lake: Where its datasets are published.
        datasets: The datasets' specs.
        columns: What datasets that are not published yet are known to publish.

    Raises:
        FeatureStoreError: With one line for each reason.
    """
    views = {thing.name: thing for thing in objects if isinstance(thing, FeatureView)}
    entities = {thing.name: thing for thing in objects if isinstance(thing, Entity)}
    problems = [
        *(
            problem
            for view in views.values()
            for problem in _view_problems(view, entities, lake, datasets, columns)
        ),
        *_dataset_problems(views, datasets),
    ]
    if problems:
        raise FeatureStoreError("\n".join(problems))


def _view_problems(
    view: FeatureView,
    entities: Mapping[str, Entity],
    lake: Path,
    datasets: Mapping[str, DatasetSpec],
    columns: Mapping[str, Columns],
) -> Iterator[str]:
    table = table_of(view.batch_source)
    if table is None or table.parent != lake:
        return  # read from elsewhere, with Feast's own means
    if left_out(view.batch_source):
        return  # its dataset's own file says what is wrong
    if table.name not in datasets:
        yield (
            f"The view {view.name!r} reads the dataset {table.name!r}, which is not declared."
            f"{did_you_mean(table.name, datasets)} Datasets: {', '.join(sorted(datasets)) or 'none'}."
        )
    elif not view.features:
        yield f"The view {view.name!r} names no features. Give it a `schema`."
    elif Lake(lake).exists(table.name):
        yield from view_problems(view, entities)
    elif table.name in columns:
        where = f"the dataset {table.name!r} as declared"
        yield from _column_problems(view, entities, columns[table.name], where)


def view_problems(view: FeatureView, entities: Mapping[str, Entity]) -> Iterator[str]:
    """Say what a view asks of its published table that this does not have."""
    table = table_of(view.batch_source)
    if table is not None and Lake(table.parent).exists(table.name):
        there = Lake(table.parent).columns(table.name)
        yield from _column_problems(view, entities, there, f"the published dataset {table.name!r}")


def _column_problems(
    view: FeatureView, entities: Mapping[str, Entity], there: Columns, where: str
) -> Iterator[str]:
    columns = {feature: column for column, feature in view.batch_source.field_mapping.items()}
    keys = [entities[name].join_key for name in view.entities if name in entities]
    wanted = [*keys, view.batch_source.timestamp_field, view.batch_source.created_timestamp_column or None]
    for name in (*filter(None, wanted), *(field.name for field in view.features)):
        column = columns.get(name, name)
        if column not in there:
            yield (
                f"The view {view.name!r} needs the column {column!r}, which {where} does not have."
                f"{did_you_mean(column, there)} It has: {', '.join(there)}."
            )
    for field in view.features:
        column = columns.get(field.name, field.name)
        if column in there and not _fits(field, there[column]):
            yield (
                f"The view {view.name!r} declares {field.name!r} as {field.dtype}, but {where} "
                f"holds {there[column]}: online and offline values would differ. "
                "Correct the type in its schema, or cast it in the dataset's transform."
            )


def _fits(field: Field, there: str) -> bool:
    """Tell whether a column's values survive the way into the online store unchanged."""
    return there in _FITTING.get(str(field.dtype), {there})


def _dataset_problems(views: Mapping[str, FeatureView], datasets: Mapping[str, DatasetSpec]) -> Iterator[str]:
    for dataset in datasets.values():
        for name in dataset.feature_views:
            if name not in views:
                yield (
                    f"datasets/{dataset.name}.yaml: feature_views: no feature view is named {name!r}."
                    f"{did_you_mean(name, views)} There are: {', '.join(sorted(views)) or 'none'}."
                )
            elif (table := table_of(views[name].batch_source)) is None or table.name != dataset.name:
                yield (
                    f"datasets/{dataset.name}.yaml: feature_views: {name!r} does not read this dataset. "
                    f"Give it `source=published({dataset.name!r})`, or move it to the dataset it reads."
                )
