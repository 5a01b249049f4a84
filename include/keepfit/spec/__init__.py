"""What a user may write under `feature_repo/`: closed, frozen models, their loader and their schema.

Belongs here: the shape of the files, and checks that need nothing but the files. Does not belong here:
anything that opens a store, a source or a heavy library, since DAG files are parsed through this package.
"""

from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.load import Project, check_project, load_dataset, load_model, load_project
from keepfit.spec.model import ModelSpec
from keepfit.spec.problem import Problem
from keepfit.spec.project import Locations, ProjectSpec
from keepfit.spec.serving import ServingSpec
from keepfit.spec.window import Window

__all__ = [
    "DatasetSpec",
    "Locations",
    "ModelSpec",
    "Problem",
    "Project",
    "ProjectSpec",
    "ServingSpec",
    "Window",
    "check_project",
    "load_dataset",
    "load_model",
    "load_project",
]
