"""Extensions: what a source, a trainer and a metric are, and how a spec's name finds one.

A package offers one as an entry point of `keepfit.sources`, `keepfit.trainers`, `keepfit.metrics` or
`keepfit.policies` (what a policy is, `keepfit.policy` says);
keepfit's own are registered the same way. A project's own lie in its `plugins/` folder and are
named `module:function`.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from keepfit.errors import UnknownPluginError
from keepfit.spec.dataset import DatasetSpec
from keepfit.spec.problem import did_you_mean
from keepfit.spec.project import EngineSpec
from keepfit.spec.window import Window

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Group = Literal["sources", "trainers", "metrics", "policies"]


@dataclass(frozen=True)
class Access:
    """How to reach what lies outside: by the id of a connection, never by a password in a file."""

    url: Callable[[str], str]
    """Turns a connection id into a SQLAlchemy URL."""
    storage: Callable[[str | None], dict[str, Any]]
    """Turns a connection id, or none, into options for `s3://` paths."""


@dataclass(frozen=True)
class SourceRequest:
    """What a source is asked for: one window's rows as Parquet."""

    dataset: DatasetSpec
    window: Window
    out: Path
    """The Parquet file to write. A whole snapshot if the dataset is one, else the window's rows."""
    root: Path
    """The project's root; relative paths begin here."""
    access: Access
    scratch: Path
    """A folder for temporary files, removed after the step."""
    engine: EngineSpec = field(default_factory=EngineSpec)
    """Bounds on the memory and threads to use."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The spec's `source.options`."""


class Source(Protocol):
    """Writes the rows of a window to `request.out`, with at least the dataset's columns."""

    def __call__(self, request: SourceRequest) -> None:
        """Write the rows. An empty window is a file without rows; what fails is a SourceError."""


@dataclass(frozen=True)
class TrainingTask:
    """What a trainer is asked for: one model from one frame."""

    frame: "pd.DataFrame"
    """The features alone, in the order the model will see them ever after."""
    label: "NDArray[np.float64]"
    task: Literal["classification", "regression"]
    categorical: tuple[str, ...]
    params: Mapping[str, Any]
    seed: int
    threads: int
    estimator: str | None = None


class Model(Protocol):
    """A trained model."""

    @property
    def flavor(self) -> str:
        """How its files are read back: `lightgbm`, `xgboost` or `skops`."""

    def predict(self, frame: "pd.DataFrame") -> "NDArray[np.float64]":
        """Score rows: the probability of the positive class, or the value."""

    def save(self, folder: Path) -> None:
        """Write the model's files into an existing, empty folder."""


class Trainer(Protocol):
    """Trains one model. The same task gives the same model."""

    def __call__(self, task: TrainingTask) -> Model:
        """Train and return the model."""


class Metric(Protocol):
    """Measures scores against the truth; higher is better where its `higher_is_better` is true.

    Where its `favours_a_guess` is true, a model that is worse than the mean label may be of use all the same.
    """

    def __call__(self, y_true: "NDArray[np.float64]", score: "NDArray[np.float64]") -> float:
        """Return the metric of some rows, at least one; NaN where they, or scores all the same, have none."""


def use_plugins(root: Path) -> None:
    """Put a project's `plugins/` folder at the end of `sys.path`, once, as Airflow does."""
    folder = str(root.absolute() / "plugins")
    if folder not in sys.path:
        sys.path.append(folder)


def find(group: Group, name: str) -> Any:
    """Return the plugin a spec names.

    Args:
        group: What it must be.
        name: An entry point's name, or `module:function` of a module in `plugins/`.

    Raises:
        UnknownPluginError: Nothing of that name is installed, or its module does not import.
    """
    if ":" in name:
        return _load(group, name, EntryPoint(name=name, value=name, group=f"keepfit.{group}"))
    if own := _own(group).get(name):
        return _load(group, name, own)
    found = _installed(group)
    if name not in found:
        raise UnknownPluginError(
            f"No plugin {name!r} in 'keepfit.{group}'.{did_you_mean(name, found)} "
            f"Installed: {', '.join(sorted(found)) or 'none'}. "
            f'A package offers one with [project.entry-points."keepfit.{group}"] in its pyproject.toml; '
            "one of your own in plugins/ is named module:function."
        )
    return _load(group, name, found[name])


def names(group: Group) -> tuple[str, ...]:
    """Name the installed plugins of a group."""
    return tuple(sorted(_installed(group)))


@cache
def _installed(group: Group) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"keepfit.{group}")}


@cache
def _own(group: Group) -> dict[str, EntryPoint]:
    """Return keepfit's own plugins, which take precedence: asking all packages takes a while."""
    try:
        points = distribution("keepfit").entry_points
    except PackageNotFoundError:
        return {}
    return {point.name: point for point in points.select(group=f"keepfit.{group}")}


def _load(group: Group, name: str, point: EntryPoint) -> Any:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise UnknownPluginError(
            f"The plugin {name!r} of 'keepfit.{group}' does not load: {error}. "
            "Is its package installed, or its module in plugins/ and the function in the module?"
        ) from error
