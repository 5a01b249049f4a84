"""Reads the files of a `feature_repo/` into specs, and finds all that is wrong with them at once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from keepfit.spec.crosscheck import cross_problems, name_problems
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.explain import explain
from keepfit.spec.fields import Closed
from keepfit.spec.model import ModelSpec
from keepfit.spec.problem import Problem, path_text
from keepfit.spec.yaml_file import Document, read_yaml

S = TypeVar("S", bound=Closed)
N = TypeVar("N", DatasetSpec, ModelSpec)


def read_spec(path: Path, repo: Path, kind: type[S]) -> tuple[S | None, tuple[Problem, ...]]:
    """Read one file; it is a spec or it has problems."""
    document = read_yaml(path, path.absolute().relative_to(repo).as_posix())
    return _parse(document, kind)


def read_all(repo: Path) -> tuple[dict[str, DatasetSpec], dict[str, ModelSpec], tuple[Problem, ...]]:
    """Read all datasets and models; return the sound ones, and what is wrong with the others."""
    documents: dict[str, Document] = {}
    problems: list[Problem] = []
    datasets = dict(_folder(repo, "datasets", DatasetSpec, documents, problems))
    models = dict(_folder(repo, "models", ModelSpec, documents, problems))
    for problem in cross_problems(repo, datasets, models):
        lines = {path_text(place): line for place, line in documents[problem.file].lines.items()}
        problems.append(replace(problem, line=lines.get(problem.field)))
    bad = {problem.file for problem in problems}
    return (
        {name: spec for name, spec in datasets.items() if f"datasets/{name}.yaml" not in bad},
        {name: spec for name, spec in models.items() if f"models/{name}.yaml" not in bad},
        tuple(sorted(problems, key=lambda problem: (problem.file, problem.line or 0))),
    )


def _folder(
    repo: Path, folder: str, kind: type[N], documents: dict[str, Document], problems: list[Problem]
) -> Iterator[tuple[str, N]]:
    for path in sorted((repo / folder).rglob("*.y*ml")):
        document = read_yaml(path, path.relative_to(repo).as_posix())
        documents[document.file] = document
        spec, found = _parse(document, kind)
        problems.extend(found)
        if spec is not None:
            yield spec.name, spec


def _parse(document: Document, kind: type[S]) -> tuple[S | None, tuple[Problem, ...]]:
    if not document.content:
        return None, document.problems
    problems = list(document.problems)
    spec = None
    try:
        spec = kind.model_validate(document.content)
    except ValidationError as error:
        problems.extend(explain(error, kind, document))
    if isinstance(spec, DatasetSpec | ModelSpec):
        problems.extend(name_problems(document.file, spec.name))
    return (None if problems else spec), tuple(problems)
