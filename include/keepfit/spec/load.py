"""Reads `feature_repo/`: every sound file is loaded, and of every other it is said why it is not."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from keepfit.errors import SpecError
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.fields import Closed
from keepfit.spec.model import ModelSpec
from keepfit.spec.problem import Problem, did_you_mean
from keepfit.spec.project import Locations, ProjectSpec
from keepfit.spec.read import read_all, read_spec
from keepfit.spec.text_file import read_text

FEATURE_REPO = "feature_repo"
PROJECT_FILE = "keepfit.yaml"

S = TypeVar("S", bound=Closed)


@dataclass(frozen=True)
class Project:
    """A project as its files describe it."""

    root: Path
    repo: Path
    spec: ProjectSpec
    datasets: Mapping[str, DatasetSpec]
    models: Mapping[str, ModelSpec]
    problems: tuple[Problem, ...]
    """What is wrong with the datasets and models that were left out."""

    @property
    def locations(self) -> Locations:
        """Where the project's stores are."""
        return Locations.resolve(self.spec, self.root, os.environ)

    def dataset(self, name: str) -> DatasetSpec:
        """Return a dataset's spec."""
        return self._get("dataset", self.datasets, name)

    def model(self, name: str) -> ModelSpec:
        """Return a model's spec."""
        return self._get("model", self.models, name)

    def _get(self, kind: str, specs: Mapping[str, S], name: str) -> S:
        if name in specs:
            return specs[name]
        file = f"{kind}s/{name}.yaml"
        if reason := self.left_out(file):
            raise SpecError(reason)
        raise SpecError(
            f"No {kind} is named {name!r}.{did_you_mean(name, specs)} "
            f"There are: {', '.join(sorted(specs)) or 'none'}. "
            f"Add {FEATURE_REPO}/{file}, or correct the name."
        )

    def left_out(self, file: str) -> str:
        """Say why a dataset's or model's file was left out; nothing if it was not."""
        return problems_text([problem for problem in self.problems if problem.file == file])

    def texts(self, dataset: str) -> dict[str, str]:
        """Return the texts of a dataset's transform and suite by their path under `feature_repo/`."""
        return {file: read_text(self.repo, file) for file in self.dataset(dataset).files.values()}

    def digest(self, *, model: str | None = None, dataset: str | None = None) -> str:
        """Return a fingerprint of what a run of a model or dataset is told to do."""
        parts: dict[str, object] = {}
        if model is not None:
            parts["model"] = self.model(model).model_dump(mode="json")
        if dataset is not None:
            parts["dataset"] = self.dataset(dataset).model_dump(mode="json")
            parts["files"] = self.texts(dataset)
        canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def load_project(root: Path) -> Project:
    """Load a project, given its root or its `feature_repo/`.

    A dataset or model with a problem is left out; the others load.

    Raises:
        SpecError: There is no sound `keepfit.yaml`.
    """
    repo = find_repo(root)
    spec, problems = read_spec(repo / PROJECT_FILE, repo, ProjectSpec)
    if spec is None:
        raise SpecError(problems_text(problems))
    datasets, models, problems = read_all(repo)
    return Project(repo.parent, repo, spec, datasets, models, problems)


def check_project(root: Path) -> tuple[Problem, ...]:
    """Return all that is wrong with all files of a project, given its root or its `feature_repo/`."""
    repo = find_repo(root)
    _, problems = read_spec(repo / PROJECT_FILE, repo, ProjectSpec)
    return (*problems, *read_all(repo)[2])


def load_dataset(path: Path) -> DatasetSpec:
    """Load one dataset's file."""
    return _load_one(path, DatasetSpec)


def load_model(path: Path) -> ModelSpec:
    """Load one model's file."""
    return _load_one(path, ModelSpec)


def find_repo(root: Path) -> Path:
    """Return the `feature_repo/` of a project, given its root or the folder itself."""
    root = root.absolute()
    repo = root if root.name == FEATURE_REPO else root / FEATURE_REPO
    if not repo.is_dir():
        raise SpecError(
            f"{root} holds no {FEATURE_REPO}/. Go to a project's folder, name it with --root, "
            "or begin one with `keepfit new DIR`."
        )
    return repo


def problems_text(problems: Sequence[Problem]) -> str:
    """Write problems one a line."""
    return "\n".join(str(problem) for problem in problems)


def _load_one(path: Path, kind: type[S]) -> S:
    spec, problems = read_spec(path, path.absolute().parent.parent, kind)
    if spec is None:
        raise SpecError(problems_text(problems))
    return spec
