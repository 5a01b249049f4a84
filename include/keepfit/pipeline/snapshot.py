"""What a run works from: the resolved specs and its trigger, fixed by the first task.

Later steps read only the snapshot: a file edited in the middle of a run does not change the run.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepfit.errors import ConfError, SpecError
from keepfit.pipeline.asked_for import refuse_unasked
from keepfit.pipeline.folder import RunFolder
from keepfit.pipeline.held import as_applied
from keepfit.spec import DatasetSpec, Locations, ModelSpec, Project, ProjectSpec, Window

SNAPSHOT = "snapshot"


@dataclass(frozen=True)
class Given:
    """Which features a model is given, for rows of which dataset."""

    service: str
    dataset: str


@dataclass(frozen=True)
class Snapshot:
    """The fixed inputs of one run."""

    folder: RunFolder
    run_id: str
    root: Path
    project: ProjectSpec
    datasets: Mapping[str, DatasetSpec]
    model: ModelSpec | None
    dataset: DatasetSpec | None
    files: Mapping[str, str]
    """The texts of the dataset's transform and expectation suite, by path under `feature_repo/`."""
    spec_digest: str
    window: Window | None
    models: Mapping[str, Given]
    """What each model of the project is given, where the run is about one."""
    settings: Mapping[str, Any]
    """The trigger's other scalars: `as_of`, `reason`, `promotion`, `decision`, `version`, `full_refresh`,
    `recompute`."""

    @property
    def locations(self) -> Locations:
        """Where this run's stores are."""
        return Locations.resolve(self.project, self.root, os.environ)

    @property
    def the_model(self) -> ModelSpec:
        """The model this run is about."""
        if self.model is None:
            raise SpecError(f"Run {self.run_id} is about a dataset, not a model.")
        return self.model

    @property
    def the_dataset(self) -> DatasetSpec:
        """The dataset this run is about."""
        if self.dataset is None:
            raise SpecError(f"Run {self.run_id} is about a model, not a dataset.")
        return self.dataset

    @property
    def the_window(self) -> Window:
        """The window this run is about."""
        if self.window is None:
            raise SpecError(f"Run {self.run_id} has no window. Give window_start and window_end.")
        return self.window


def take_snapshot(
    project: Project,
    dag_id: str,
    run_id: str,
    *,
    model: str | None = None,
    dataset: str | None = None,
    window: Window | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Snapshot:
    """Fix what a run works from and store it in the run's folder.

    A retry finds the snapshot of the first try and keeps to it.

    Raises:
        ConfError: The folder holds the snapshot of a run about something else, or the ledger holds no
            decision of the name the trigger gives that asks for this very run.
        SpecError: What it is about, or a dataset that it reads, has a problem.
    """
    folder = RunFolder.of(project.locations.runs, dag_id, run_id)
    if folder.has(SNAPSHOT):
        asked = {
            "run_id": run_id,
            "model": model,
            "dataset": dataset,
            "window": window.key if window else None,
        }
        return _same(open_snapshot(folder.path), asked)
    for name in _read_by(project, model=model, dataset=dataset):
        project.dataset(name)
    refuse_unasked(project, model, run_id, settings or {})
    folder.write(
        SNAPSHOT,
        {
            "run_id": run_id,
            "root": str(project.root),
            "project": project.spec.model_dump(mode="json"),
            "datasets": {name: spec.model_dump(mode="json") for name, spec in project.datasets.items()},
            "model": as_applied(project, model).model_dump(mode="json") if model else None,
            "dataset": project.dataset(dataset).name if dataset else None,
            "models": {name: [each.features, each.entities.dataset] for name, each in project.models.items()}
            if model
            else {},
            "files": project.texts(dataset) if dataset else {},
            "spec_digest": project.digest(model=model, dataset=dataset),
            "window": window.key if window else None,
            "settings": dict(settings or {}),
        },
    )
    return open_snapshot(folder.path)


def _read_by(project: Project, *, model: str | None, dataset: str | None) -> Iterator[str]:
    """Name the datasets whose specs a run needs."""
    if dataset:
        yield from (dataset, *project.dataset(dataset).inputs)
    if model:
        spec = project.model(model)
        yield from (spec.entities.dataset, spec.label_dataset)


def _same(taken: Snapshot, asked: Mapping[str, str | None]) -> Snapshot:
    held = {
        "run_id": taken.run_id,
        "model": taken.model.name if taken.model else None,
        "dataset": taken.dataset.name if taken.dataset else None,
        "window": taken.window.key if taken.window else None,
    }
    wrong = [f"{key} {held[key]}, not {asked[key]}" for key in asked if held[key] != asked[key]]
    if wrong:
        raise ConfError(
            f"{taken.folder.path} holds the snapshot of a run of {'; of '.join(wrong)}. "
            "Give this run an id of its own."
        )
    return taken


def open_snapshot(folder: Path) -> Snapshot:
    """Read a run's snapshot back."""
    run = RunFolder(folder)
    stored = run.read(SNAPSHOT)
    datasets = {name: DatasetSpec.model_validate(spec) for name, spec in stored["datasets"].items()}
    return Snapshot(
        folder=run,
        run_id=stored["run_id"],
        root=Path(stored["root"]),
        project=ProjectSpec.model_validate(stored["project"]),
        datasets=datasets,
        model=ModelSpec.model_validate(stored["model"]) if stored["model"] else None,
        dataset=datasets[stored["dataset"]] if stored["dataset"] else None,
        models={name: Given(*each) for name, each in stored.get("models", {}).items()},
        files=stored["files"],
        spec_digest=stored["spec_digest"],
        window=Window.of_key(stored["window"]) if stored["window"] else None,
        settings=stored["settings"],
    )
