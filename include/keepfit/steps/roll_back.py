"""Choose the version to go back to, from what the ledger knows."""

import re
from collections.abc import Iterable
from datetime import datetime

from keepfit.errors import DeploymentError
from keepfit.ledger import Ledger
from keepfit.steps.move import named, when

_VERSION = re.compile(r"[1-9]\d*")


def is_version(text: str) -> bool:
    """Tell a version's number from a time."""
    return bool(_VERSION.fullmatch(text))


def version_before(ledger: Ledger, model: str) -> str:
    """Return the version that was champion before the one that is.

    Going back undoes: a version that was rolled back from is not gone back to.

    Raises:
        DeploymentError: There was none.
    """
    live, left = _undone(each.to_version for each in ledger.deployments(model))
    if not left:
        raise DeploymentError(
            f"No version was champion of {model} before {named(live)}, so there is none to go back to. "
            f"Nothing was moved; name one with `keepfit release {model} --version N`."
        )
    return left[-1]


def version_at(ledger: Ledger, model: str, at: datetime) -> str:
    """Return the version that was champion at a time.

    Raises:
        DeploymentError: None was.
    """
    moved = ledger.live(model, at)
    if moved is None or moved.to_version is None:
        raise DeploymentError(
            f"{model} had no champion at {when(at)}. Nothing was moved; "
            f"`keepfit history {model}` shows which version was champion since when."
        )
    return moved.to_version


def once_champion(ledger: Ledger, model: str, version: str) -> str:
    """Return a version that was champion before.

    Raises:
        DeploymentError: It never was.
    """
    known = dict.fromkeys(each.to_version for each in ledger.deployments(model) if each.to_version)
    if version not in known:
        raise DeploymentError(
            f"Version {version} of {model} was never its champion, so there is no going back to it; these "
            f"were: {', '.join(known) or 'none'}. Nothing was moved; to make it the champion, run "
            f"`keepfit release {model} --version {version}`."
        )
    return version


def _undone(moves: Iterable[str | None]) -> tuple[str | None, list[str]]:
    """Return the version that is live and those it came after, without those that were given up."""
    live: str | None = None
    path: list[str] = []
    for version in moves:
        live = version
        if version in path:
            del path[path.index(version) :]
        if version is not None:
            path.append(version)
    return live, path[:-1] if live is not None else path
