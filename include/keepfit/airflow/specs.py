"""Reads no more of a project than a process needs: a task of one DAG among a thousand, or the triggerer."""

import os
from pathlib import Path
from typing import TypeVar

from keepfit.errors import SpecError
from keepfit.spec import DatasetSpec, Locations, ModelSpec, Project, ProjectSpec, load_project
from keepfit.spec.load import PROJECT_FILE, find_repo, problems_text
from keepfit.spec.read import read_spec

S = TypeVar("S", DatasetSpec, ModelSpec)


def load_for(root: Path, dag_id: str | None) -> Project:
    """Load a project with nothing but the spec of one DAG; with everything where there is no such spec."""
    name, _, verb = (dag_id or "").rpartition("__")
    repo = find_repo(root)
    datasets = _only(repo, "datasets", name, DatasetSpec) if verb in ("ingest", "quarantine") else {}
    models = _only(repo, "models", name, ModelSpec) if verb in ("train", "predict", "monitor") else {}
    if datasets or models:
        return Project(repo.parent, repo, _project_spec(repo), datasets, models, ())
    return load_project(root)


def load_locations(root: Path) -> Locations:
    """Find where a project's stores are."""
    repo = find_repo(root)
    return Locations.resolve(_project_spec(repo), repo.parent, os.environ)


def _project_spec(repo: Path) -> ProjectSpec:
    spec, problems = read_spec(repo / PROJECT_FILE, repo, ProjectSpec)
    if spec is None:
        raise SpecError(problems_text(problems))
    return spec


def _only(repo: Path, folder: str, name: str, kind: type[S]) -> dict[str, S]:
    file = repo / folder / f"{name}.yaml"
    spec = read_spec(file, repo, kind)[0] if file.is_file() else None
    return {name: spec} if spec else {}
