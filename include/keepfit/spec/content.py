"""What a project holds, each thing flat enough to be held against what it was before."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.load import Project
from keepfit.spec.model import ModelSpec

Kind = Literal[
    "entity",
    "source",
    "feature view",
    "on-demand view",
    "feature service",
    "online store",
    "dataset",
    "model",
]
Properties = Mapping[str, str]


@dataclass(frozen=True)
class Content:
    """One thing: a Feast object, a dataset or a model."""

    kind: Kind
    name: str
    properties: Properties
    """What it says, each value by its path: `features.spend.valueType`."""
    uses: tuple[str, ...] = ()
    """The labels of what it is made of."""

    @property
    def label(self) -> str:
        """Name it among all contents."""
        return f"{self.kind} {self.name}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "kind": self.kind,
            "name": self.name,
            "properties": dict(self.properties),
            "uses": list(self.uses),
        }

    @classmethod
    def of_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Read it back from plain JSON."""
        return cls(stored["kind"], stored["name"], stored["properties"], tuple(stored["uses"]))


Contents = Mapping[str, Content]
"""Things by their labels."""


def by_label(contents: Iterator[Content]) -> Contents:
    """Put things under their labels, in order."""
    return {each.label: each for each in sorted(contents, key=lambda each: each.label)}


def project_contents(project: Project) -> Contents:
    """Return a project's datasets and models; what its Feast files define is the feature store's to tell."""
    return by_label(_contents(project))


def _contents(project: Project) -> Iterator[Content]:
    for name, dataset in project.datasets.items():
        inputs = tuple(f"dataset {each}" for each in dataset.inputs)
        yield Content("dataset", name, _dataset_properties(project, dataset), inputs)
    for name, model in project.models.items():
        read = dict.fromkeys((f"dataset {model.entities.dataset}", f"dataset {model.label_dataset}"))
        yield Content("model", name, _model_properties(model), (f"feature service {model.features}", *read))


def _dataset_properties(project: Project, dataset: DatasetSpec) -> Properties:
    texts = {
        f"{field} text": _fingerprint((project.repo / file).read_bytes())
        for field, file in dataset.files.items()
    }
    return flat(dataset.model_dump(mode="json", exclude_none=True)) | texts


def _model_properties(model: ModelSpec) -> Properties:
    return flat(model.model_dump(mode="json", exclude_none=True))


def flat(value: object, path: str = "") -> dict[str, str]:
    """Return the leaves of a nested value by their paths; things in a list go by their names."""
    if isinstance(value, Mapping):
        parts = {str(key): inner for key, inner in value.items()}
    elif isinstance(value, (list, tuple)):
        parts = {_name(inner, index): inner for index, inner in enumerate(value)}
    else:
        return {path: str(value)}
    leaves: dict[str, str] = {}
    for key, inner in parts.items():
        leaves |= flat(inner, f"{path}.{key}" if path else key)
    return leaves


def _name(value: object, index: int) -> str:
    if isinstance(value, Mapping) and "name" in value:
        return str(value["name"])
    return str(index)


def _fingerprint(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:12]
