"""What an edit would stop: live versions whose features it takes away."""

import re
from collections.abc import Callable, Iterator

from keepfit.spec.content import Content, Contents

_COLUMN = re.compile(r"features\.[^.]+\.featureColumns\.\d+")
"""A feature service's property that names one of its features."""

Live = Callable[[str], tuple[str, frozenset[str]] | None]
"""Tells of a model which version is live, and the features it needs."""


def stops(before: Contents, after: Contents, live: Live) -> Iterator[str]:
    """Say of each live version which features it needs and would be given no more.

    Args:
        before: What is applied.
        after: What is wanted.
        live: Asked only about models that lose a feature.
    """
    for model in after.values():
        service = _service(model)
        lost = _given(before, _service(before.get(model.label, model))) - _given(after, service)
        if not lost or service not in after:
            # That nobody defines the service is told of as a problem.
            continue
        version, needed = live(model.name) or ("", frozenset())
        if gone := ", ".join(sorted(lost & needed)):
            yield (
                f"{model.label}: version {version} is live and needs {gone}, which the {service} would give "
                "no more. It could neither predict nor be held against a new version"
            )


def _service(model: Content) -> str | None:
    return next((label for label in model.uses if label.startswith("feature service ")), None)


def _given(contents: Contents, service: str | None) -> frozenset[str]:
    found = contents.get(service) if service else None
    said = found.properties.items() if found else ()
    return frozenset(value for path, value in said if _COLUMN.fullmatch(path))
