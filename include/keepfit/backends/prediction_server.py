"""What a running prediction server says of the versions it answers with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from keepfit.spec.serving import TOKEN

_TIMEOUT = 10.0


@dataclass(frozen=True)
class Served:
    """What a server answers with for one model; None where it has no such role."""

    champion: str | None = None
    challenger: str | None = None
    share: float | None = None
    problem: str | None = None
    """Why this is all it can say, or why it has not loaded what it should."""

    def __str__(self) -> str:
        """Say it in words."""
        said = [f"champion {self.champion or 'none'}"]
        if self.challenger:
            said.append(f"challenger {self.challenger} with a share of {self.share or 0:g}")
        return ", ".join(said) + (f" ({self.problem})" if self.problem else "")


@dataclass(frozen=True)
class Said:
    """What one worker of a server said of one model."""

    served: Served | None
    """None: it does not serve the model."""
    worker: str | None = None
    """Which of the server's workers said so; None if it does not tell."""
    workers: int | None = None
    """How many workers the server runs with; None if it does not tell."""


def what_is_served(url: str, model: str) -> Said:
    """Ask a server, by a connection of its own, so that any of its workers may answer.

    Raises:
        OSError: It does not answer, or not as a prediction server does.
    """
    try:
        return _said(_answer(url), model)
    except httpx.HTTPStatusError as error:
        raise OSError(f"answers {error.response.status_code}{_hint(error.response.status_code)}") from error
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise OSError(f"does not answer ({type(error).__name__}: {error})") from error


def _answer(url: str) -> Mapping[str, Any]:
    token = os.environ.get(TOKEN)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = httpx.get(f"{url}/models", headers=headers, timeout=_TIMEOUT, trust_env=False)
    answer.raise_for_status()
    found: Mapping[str, Any] = answer.json()
    return found


def _said(found: Mapping[str, Any], model: str) -> Said:
    served = {each["name"]: _served(each) for each in found["models"]}
    worker, workers = found.get("worker"), found.get("workers")
    return Said(served.get(model), None if worker is None else str(worker), workers and int(workers))


def _served(said: Mapping[str, Any]) -> Served:
    champion, challenger = said["champion"] or {}, said["challenger"] or {}
    return Served(
        champion=champion.get("version"),
        challenger=challenger.get("version"),
        share=challenger.get("share"),
        problem=said.get("problem"),
    )


def _hint(status: int) -> str:
    return f": set {TOKEN} to the server's token" if status in (401, 403) else ""
