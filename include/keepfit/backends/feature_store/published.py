"""What a user's `features.py` reads: the published form of a dataset."""

import sys
from pathlib import Path

from feast import FileSource
from feast.data_format import DeltaFormat

from keepfit.backends.feature_store.lake_source import KEY_TAG
from keepfit.errors import FeatureStoreError
from keepfit.spec import load_project
from keepfit.spec.load import PROJECT_FILE


def published(dataset: str) -> FileSource:
    """Return the Feast source of a dataset that this project publishes.

    The project is the one whose `feature_repo/` holds the calling file; where the rows lie and which
    column is their event time come from its specs.

    Raises:
        FeatureStoreError: The calling file is in no `feature_repo/`.
        SpecError: The project has no such dataset.
    """
    caller = Path(sys._getframe(1).f_globals.get("__file__") or ".").absolute()
    project = load_project(_repo_of(caller))
    spec = project.dataset(dataset)
    return FileSource(
        name=dataset,
        path=str(project.locations.lake / dataset),
        file_format=DeltaFormat(),
        timestamp_field=spec.event_time,
        tags={KEY_TAG: ",".join(spec.key)},
        description=spec.description,
    )


def _repo_of(file: Path) -> Path:
    for folder in file.parents:
        if (folder / PROJECT_FILE).exists():
            return folder
    raise FeatureStoreError(
        f"{file} calls published(), but no folder above it holds a {PROJECT_FILE}. "
        "Call it in a module under feature_repo/."
    )
