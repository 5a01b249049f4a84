"""What applying `feature_repo/` would do: the project as it is against what was applied."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from keepfit.ledger import Edit, FeatureLedger, Ledger
from keepfit.pipeline.held import features_in_use
from keepfit.pipeline.refresh import refresh_command
from keepfit.spec import Problem, Project, check_project
from keepfit.spec.content import Content, Contents, project_contents
from keepfit.spec.load import PROJECT_FILE

if TYPE_CHECKING:
    from keepfit.steps.plan import Plan

_FILED = ("dataset", "model", "online store")
"""Kinds of content that Feast's registry does not hold."""


@dataclass(frozen=True)
class Planned:
    """A plan, and the states it is made from."""

    plan: "Plan"
    contents: Contents
    """What holds once it is applied."""
    position: int
    """The number of the edit it would be."""

    @property
    def digest(self) -> str:
        """Return a fingerprint of what holds once it is applied."""
        return digest_of(self.contents)


def make_plan(project: Project) -> Planned:
    """Plan without writing anything."""
    from keepfit.backends.feature_store import FeatureStore
    from keepfit.steps.plan import plan
    from keepfit.steps.stops import stops

    last = FeatureLedger(project.locations.ledger_url).last_edit()
    registered = FeatureStore(project, project.spec.engine).registered()
    problems = check_project(project.root)
    features, unfit = _features(project, problems)
    features = features or _as_registered(last, registered)
    filed = _as_before(last, problems) | dict(project_contents(project))
    wanted = {**features, **filed}
    before = _trained(project, wanted) | _applied(last, registered, wanted)
    told = tuple(str(problem) for problem in (*problems, *unfit))
    made = replace(plan(before, wanted, told), stops=tuple(stops(before, wanted, partial(_live, project))))
    return Planned(made, wanted, last.position + 1 if last else 1)


def unfilled_features(project: Project, contents: Contents) -> list[str]:
    """Say which features have no value in part of what is published, and what fills them."""
    from keepfit.backends.lake import Lake
    from keepfit.steps.unfilled import unfilled

    ledger, lake = Ledger(project.locations.ledger_url), Lake(project.locations.lake)
    found = []
    for each in unfilled(contents, lake, project.datasets):
        command = refresh_command(ledger, each.dataset)
        found.append(f"{each}" + (f". If its column came later, fill it: `{command}`" if command else ""))
    return found


def adopt(project: Project, run_id: str) -> None:
    """Record a project that is registered for the first time as its first edit, if nothing waits."""
    edits = FeatureLedger(project.locations.ledger_url)
    if edits.last_edit() is not None:
        return
    made = make_plan(project)
    if not made.plan.problems and all(change.how == "added" for change in made.plan.changes):
        told = tuple(str(change) for change in made.plan.changes)
        edits.record_edit(Edit(made.position, made.digest, to_dict(made.contents), told, run_id))


def digest_of(contents: Contents) -> str:
    """Return a fingerprint of contents."""
    text = json.dumps(to_dict(contents), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_dict(contents: Contents) -> dict[str, Any]:
    """Return contents as plain JSON."""
    return {label: content.to_dict() for label, content in contents.items()}


def of_dict(stored: Mapping[str, Any]) -> Contents:
    """Read contents back from plain JSON."""
    return {label: Content.of_dict(content) for label, content in stored.items()}


def _features(project: Project, problems: tuple[Problem, ...]) -> tuple[Contents, tuple[Problem, ...]]:
    """Try the features out; there are none of a broken project."""
    from keepfit.pipeline.feature_check import try_features

    # features.py reads the datasets: one that is broken would be told of twice.
    if any(problem.file.startswith(("datasets/", PROJECT_FILE)) for problem in problems):
        return {}, ()
    return try_features(project)


def _live(project: Project, model: str) -> tuple[str, frozenset[str]] | None:
    """Return which version of a model is live, and the features it needs."""
    from keepfit.backends.model_registry import ModelRegistry

    registry = ModelRegistry(project.locations.tracking_uri, project.locations.artifacts)
    version = registry.champion(model)
    return (version, frozenset(registry.details(model, version).features)) if version else None


def _as_registered(last: Edit | None, registered: Contents) -> Contents:
    """Return the features as they are: those of a broken project are not gone."""
    stores = {label: each for label, each in _recorded(last).items() if each.kind == "online store"}
    return {**registered, **stores}


def _as_before(last: Edit | None, problems: tuple[Problem, ...]) -> dict[str, Content]:
    """Return the datasets and models that are left out since their files are broken: they are not gone."""
    paths = [PurePosixPath(problem.file) for problem in problems]
    broken = {f"{path.parts[0].removesuffix('s')} {path.stem}" for path in paths}
    return {label: each for label, each in _recorded(last).items() if label in broken}


def _trained(project: Project, wanted: Contents) -> dict[str, Content]:
    """Return the models as they were trained, of those that are edited before any edit names them."""
    found = {}
    for each in wanted.values():
        used = features_in_use(project, each.name) if each.kind == "model" else None
        if used not in (None, each.properties.get("features")):
            rest = (label for label in each.uses if not label.startswith("feature service "))
            properties = {**each.properties, "features": str(used)}
            found[each.label] = replace(each, properties=properties, uses=(f"feature service {used}", *rest))
    return found


def _applied(last: Edit | None, registered: Contents, wanted: Contents) -> dict[str, Content]:
    """Return what is applied: what the ledger says, unless the registry was changed by others.

    An edit is recorded when all that follows from it is done, so one that was cut short is seen here again.
    """
    before = dict(registered)
    for label, content in _recorded(last).items():
        held = registered.get(label)
        if content.kind in _FILED or (held is not None and content != wanted.get(label)):
            before[label] = content
    return before


def _recorded(last: Edit | None) -> Contents:
    return of_dict(last.contents) if last else {}
