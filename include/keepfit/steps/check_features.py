"""Check features: are they as fresh as promised, and does the online store say what was published?"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from keepfit.spec.fields import duration_text

if TYPE_CHECKING:
    from keepfit.backends.feature_store import RegisteredView

_SHOWN = 3


@dataclass(frozen=True)
class Checked:
    """What was found of one view."""

    view: str
    passed: bool
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)


def check_freshness(view: "RegisteredView", at: datetime, promise: timedelta | None) -> Checked:
    """Hold the age of a view's newest values at a moment against what is promised, if anything is."""
    newest = view.newest(at)
    evidence = {
        "newest": newest.isoformat() if newest else None,
        "promise": duration_text(promise) if promise else None,
    }
    if newest is None:
        return Checked(view.name, promise is None, f"{view.name} has no values known by {_at(at)}", evidence)
    age = at - newest
    evidence["age"] = duration_text(age)
    if promise is None or age <= promise:
        return Checked(view.name, True, f"{view.name} is {_age(age)} old at {_at(at)}", evidence)
    late = f"{view.name} is {_age(age)} old at {_at(at)}, and {duration_text(promise)} at most is promised"
    return Checked(view.name, False, f"{late}: ingest {view.dataset}, or promise less", evidence)


def check_parity(view: "RegisteredView", size: int, refresh: str) -> Checked:
    """Hold the online store's values of some entities against the newest published ones.

    Args:
        view: Which view.
        size: How many entities.
        refresh: The command that publishes all of its dataset anew.
    """
    until = view.materialized_until
    if view.dataset is None or until is None:
        return Checked(view.name, True, f"{view.name} is not in the online store yet", {"sampled": 0})
    entities, published = view.sample(size, until)
    answered = view.online(entities) if entities else []
    wrong = [
        {"entity": entity, "published": there, "online": here}
        for entity, there, here in zip(entities, published, answered, strict=True)
        if there != here
    ]
    evidence = {"sampled": len(entities), "wrong": len(wrong), "examples": wrong[:_SHOWN]}
    if not wrong:
        return Checked(view.name, True, f"{view.name}: all of {len(entities)} entities agree", evidence)
    return Checked(view.name, False, f"{view.name}: {_told(wrong, len(entities), refresh)}", evidence)


def _told(wrong: list[dict[str, Any]], sampled: int, refresh: str) -> str:
    first = wrong[0]
    names = [name for name, value in first["published"].items() if value != first["online"][name]]
    said = f"{first['published'][names[0]]!r} is published and {first['online'][names[0]]!r} is online"
    key = ", ".join(f"{name}={value}" for name, value in first["entity"].items())
    return (
        f"{len(wrong)} of {sampled} entities differ online, such as {names[0]} of {key}: {said}. "
        "Ingest the last windows again, or all, which takes off withdrawn rows: "
        f"`{refresh}`"
    )


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _age(age: timedelta) -> str:
    return duration_text(timedelta(seconds=age // timedelta(seconds=1)))
