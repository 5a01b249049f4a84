"""What is told of the models that are served."""

import os
from typing import Any

from keepfit.serving.line import Line
from keepfit.serving.served import ServedModel
from keepfit.serving.service import Service


def listed(service: Service) -> dict[str, Any]:
    """Return who answers for each model, and which of how many workers says so: each loads for itself."""
    return {
        "worker": os.getpid(),
        "workers": service.settings.workers,
        "models": [_listed(each) for each in service.models.values()],
    }


def described(served: ServedModel) -> dict[str, Any]:
    """Return who answers for a model, and what a row may bring."""
    line, look_up = served.line, served.look_up
    return {
        **_listed(served),
        "features": _features(line) if line else {},
        "entities": list(look_up.entities),
        "request_features": list(look_up.request),
        "online_store": look_up.problem,
        "scored_by": line.champion.scorer.way if line else None,
    }


def _listed(served: ServedModel) -> dict[str, Any]:
    line = served.line
    return {
        "name": served.name,
        "champion": {"version": line.champion.version, "since": line.since} if line else None,
        "challenger": (
            {"version": line.challenger.version, "share": line.share} if line and line.challenger else None
        ),
        "problem": served.problem,
    }


def _features(line: Line) -> dict[str, str]:
    kinds = line.champion.coder.kinds
    return {name: "category" if kind == "string" else "number" for name, kind in kinds.items()}
