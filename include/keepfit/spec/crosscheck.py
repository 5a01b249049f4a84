"""Checks beyond one field: a name against its file, and what the files say of each other."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.model import ModelSpec
from keepfit.spec.never_asks import never_asks
from keepfit.spec.problem import Problem, did_you_mean
from keepfit.spec.text_file import text_problem


def name_problems(file: str, name: str) -> Iterator[Problem]:
    """Check a dataset's or model's name against its file and against what DAG ids are made of."""
    path = PurePosixPath(file)
    expected = f"{path.parts[0]}/{path.stem}.yaml"
    if file != expected:
        yield Problem(file, "", f"is not where keepfit looks. Move it to {expected}.")
    elif name != path.stem:
        yield Problem(file, "name", f"is {name!r}, but the file is {path.name}. Make the two the same.")
    if "__" in name:
        yield Problem(
            file, "name", f"{name!r} has two underscores in a row. DAG ids need them: leave one out."
        )
    if name == "keepfit":
        yield Problem(file, "name", "'keepfit' is taken by keepfit's own DAGs. Choose another name.")


def cross_problems(
    repo: Path, datasets: Mapping[str, DatasetSpec], models: Mapping[str, ModelSpec]
) -> Iterator[Problem]:
    """Check what the files say of each other.

    A file that did not load is still known by its name, so that its fault is not reported twice.
    """
    known = {path.stem for path in repo.glob("datasets/*.yaml")}
    for dataset in datasets.values():
        yield from _dataset_problems(repo, dataset, known)
        if circle := _circle(datasets, dataset.name):
            yield _of(dataset, "source.inputs", f"wait for each other in a circle: {' <- '.join(circle)}.")
    for model in models.values():
        if model.name in known:
            yield _of(model, "name", f"{model.name!r} is also the name of a dataset. Rename one of them.")
        yield from _model_problems(model, datasets, known)


def _dataset_problems(repo: Path, dataset: DatasetSpec, known: Collection[str]) -> Iterator[Problem]:
    for index, name in enumerate(dataset.inputs):
        if name not in known:
            yield _of(dataset, f"source.inputs[{index}]", _no_dataset(name, known))
    for field, file in dataset.files.items():
        path = repo / file
        if not path.is_file():
            near = did_you_mean(path.stem, (other.stem for other in path.parent.glob(f"*{path.suffix}")))
            yield _of(dataset, field, f"{file} does not exist.{near or ' Write it, or correct the name.'}")
        elif message := text_problem(path):
            yield _of(dataset, field, f"{file} {message}")


def _circle(datasets: Mapping[str, DatasetSpec], start: str) -> tuple[str, ...]:
    """Return a way from a dataset along its inputs back to itself, if there is one."""
    trails: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while trails:
        trail = trails.pop()
        for name in datasets[trail[-1]].inputs if trail[-1] in datasets else ():
            if name == start:
                return (*trail, start)
            if name not in seen:
                seen.add(name)
                trails.append((*trail, name))
    return ()


def _model_problems(
    model: ModelSpec, datasets: Mapping[str, DatasetSpec], known: Collection[str]
) -> Iterator[Problem]:
    named = (("entities.dataset", model.entities.dataset), ("label.dataset", model.label.dataset))
    for field, name in named:
        if name is not None and name not in known:
            yield _of(model, field, _no_dataset(name, known))
    rows, truth = datasets.get(model.entities.dataset), datasets.get(model.label_dataset)
    if rows:
        for field in ("columns", "known"):
            for index, column in enumerate(getattr(model.entities, field)):
                yield from _column_problems(model, f"entities.{field}[{index}]", column, rows)
    if truth:
        yield from _column_problems(model, "label.column", model.label.column, truth)
    if rows and truth and set(rows.key) != set(truth.key):
        keys = f"has the key {', '.join(truth.key)}, but {rows.name!r} has {', '.join(rows.key)}"
        yield _of(model, "label.dataset", f"{truth.name!r} {keys}: labels are joined by key.")
    for field, message in never_asks(model, rows):
        yield _of(model, field, message)


def _column_problems(model: ModelSpec, field: str, column: str, dataset: DatasetSpec) -> Iterator[Problem]:
    if dataset.transform is None and column not in dataset.columns:
        near = did_you_mean(column, dataset.columns)
        yield _of(model, field, f"the dataset {dataset.name!r} has no column {column!r}.{near}")


def _no_dataset(name: str, known: Collection[str]) -> str:
    there = ", ".join(sorted(known)) or "none"
    return f"no dataset is named {name!r}.{did_you_mean(name, known)} There are: {there}."


def _of(spec: DatasetSpec | ModelSpec, field: str, message: str) -> Problem:
    folder = "datasets" if isinstance(spec, DatasetSpec) else "models"
    return Problem(f"{folder}/{spec.name}.yaml", field, message)
