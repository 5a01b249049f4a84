"""Plan: hold what is applied against what is wanted, and say what follows from the difference."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from keepfit.spec.content import Content, Contents, Kind

How = Literal["added", "changed", "removed"]
_SIGNS: Mapping[How, str] = {"added": "+", "changed": "~", "removed": "-"}
_WORDING = re.compile(r"(\w+\.\w+\.)?(description|tags|owner)\b")
"""Properties of a Feast object that change no value."""
_LEARNT = re.compile(r"(task|entities|features|label|train)\b(?!\.(calendar|timeout|threads)\b)")
"""Properties of a model that its training goes by."""
_COMPUTED = re.compile(r"(source|columns|window_column|snapshot|key|event_time|transform)\b")
"""Properties of a dataset that its published rows go by."""
_LONGEST = 60


@dataclass(frozen=True)
class Change:
    """One thing that is added, changed or removed."""

    kind: Kind
    name: str
    how: How
    details: tuple[str, ...] = ()
    matters: bool = True
    """Whether values or trainings differ because of it."""

    @property
    def label(self) -> str:
        """Name the thing among all contents."""
        return f"{self.kind} {self.name}"

    def __str__(self) -> str:
        """Write it on a line."""
        details = f": {'; '.join(self.details)}" if self.details else ""
        return f"{_SIGNS[self.how]} {self.label}{details}"


@dataclass(frozen=True)
class Plan:
    """What is to change, and what is done about it."""

    changes: tuple[Change, ...] = ()
    views: tuple[str, ...] = ()
    """The feature views whose published values are all brought into the online store again."""
    touched: Mapping[str, tuple[str, ...]] | None = None
    """Each model with the changes it is touched by."""
    retrain: Mapping[str, tuple[str, ...]] | None = None
    """Each model to train anew, with the changes that ask for it."""
    refresh: tuple[str, ...] = ()
    """The datasets whose published rows are still as they were computed before, inputs first."""
    problems: tuple[str, ...] = ()
    """Why it cannot be applied."""
    stops: tuple[str, ...] = ()
    """The live versions that could predict no more, which needs leave."""

    @property
    def removed(self) -> tuple[Change, ...]:
        """What is to be deleted."""
        return tuple(change for change in self.changes if change.how == "removed")

    @classmethod
    def of_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Read it back from plain JSON."""

        def reasons(name: str) -> dict[str, tuple[str, ...]]:
            return {model: tuple(why) for model, why in (stored[name] or {}).items()}

        return cls(
            changes=tuple(
                Change(**{**change, "details": tuple(change["details"])}) for change in stored["changes"]
            ),
            views=tuple(stored["views"]),
            touched=reasons("touched"),
            retrain=reasons("retrain"),
            refresh=tuple(stored["refresh"]),
            problems=tuple(stored["problems"]),
            stops=tuple(stored["stops"]),
        )


def plan(before: Contents, after: Contents, problems: tuple[str, ...] = ()) -> Plan:
    """Compare two states of a project."""
    changes = {change.label: change for change in _changes(before, after)}
    models = [each for each in after.values() if each.kind == "model"]
    used = {model.name: _reach(model.label, before, after) for model in models}
    touched = {
        name: _named(changes[label] for label in sorted(changes.keys() & all_)) for name, all_ in used.items()
    }
    retrain = {name: _named(_asking(changes, all_)) for name, all_ in used.items()}
    return Plan(
        changes=tuple(changes.values()),
        views=tuple(_views(before, after, changes)),
        touched={name: why for name, why in touched.items() if why},
        retrain={name: why for name, why in retrain.items() if why},
        refresh=tuple(_outdated(before, after, changes)),
        problems=problems,
    )


def _changes(before: Contents, after: Contents) -> Iterator[Change]:
    for label in sorted({*before, *after}):
        old, new = before.get(label), after.get(label)
        if old is None and new is not None:
            yield Change(new.kind, new.name, "added")
        elif new is None and old is not None:
            yield Change(old.kind, old.name, "removed")
        elif old is not None and new is not None and old.properties != new.properties:
            yield _change(old, new)


def _change(old: Content, new: Content) -> Change:
    said = {**old.properties, **new.properties}
    paths = [path for path in said if old.properties.get(path) != new.properties.get(path)]
    details = tuple(
        f"{path} {_short(old.properties.get(path))} -> {_short(new.properties.get(path))}" for path in paths
    )
    return Change(new.kind, new.name, "changed", details, any(_matters(new.kind, path) for path in paths))


def _matters(kind: Kind, path: str) -> bool:
    if kind == "model":
        return bool(_LEARNT.match(path))
    if kind == "dataset":
        return bool(_COMPUTED.match(path))
    return not _WORDING.match(path)


def _short(value: str | None) -> str:
    if value is None:
        return "(none)"
    line = " ".join(value.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _reach(label: str, *states: Contents) -> frozenset[str]:
    """Return a thing and all it is made of, before or after."""
    seen: set[str] = set()
    todo = [label]
    while todo:
        if (here := todo.pop()) not in seen:
            seen.add(here)
            todo += [used for state in states if here in state for used in state[here].uses]
    return frozenset(seen)


def _asking(changes: Mapping[str, Change], used: frozenset[str]) -> Iterator[Change]:
    """Yield what asks for a training: a dataset does so when its rows are published anew, not before.

    What is new asks for none: what a model uses of it, something else names that has changed.
    """
    for label in sorted(changes.keys() & used):
        change = changes[label]
        if change.matters and change.how != "added" and change.kind != "dataset":
            yield change


def _outdated(before: Contents, after: Contents, changes: Mapping[str, Change]) -> Iterator[str]:
    """Name the datasets that are computed otherwise now, or from such: each after those it reads."""
    differ = {
        label
        for label, each in changes.items()
        if (each.kind, each.how, each.matters) == ("dataset", "changed", True)
    }
    reached = {
        each.name: _reach(each.label, before, after) for each in after.values() if each.kind == "dataset"
    }
    # What a dataset is made of is part of what is made of the dataset, so it has fewer parts.
    yield from sorted(
        (name for name in reached if reached[name] & differ), key=lambda name: len(reached[name])
    )


def _views(before: Contents, after: Contents, changes: Mapping[str, Change]) -> Iterator[str]:
    stores = [each for each in changes.values() if each.kind == "online store"]
    anew = any(each.how == "changed" for each in stores)
    for view in after.values():
        if view.kind == "feature view" and view.properties.get("online") == "True":
            made_of = _reach(view.label, before, after)
            altered = (each for label, each in changes.items() if label in made_of and each.kind != "dataset")
            if anew or any(each.matters for each in altered):
                yield view.name


def _named(changes: Iterator[Change]) -> tuple[str, ...]:
    return tuple(f"{change.label} {change.how}" for change in changes)
