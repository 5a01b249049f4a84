"""Find aliases that were moved behind keepfit's back."""

import time
from collections.abc import Iterator

from keepfit.backends.model_registry import CHALLENGER, CHAMPION, Alias, ModelRegistry
from keepfit.errors import DeploymentError
from keepfit.ledger import Ledger
from keepfit.steps.move import astray

_MOMENT = 1.0
"""An alias is set a moment before that is recorded, so it is looked at twice."""


def strays(registry: ModelRegistry, ledger: Ledger, model: str) -> Iterator[str]:
    """Say of each alias of a model that is not where the ledger says so, and what settles it."""
    for alias in (CHAMPION, CHALLENGER):
        if _stray(registry, ledger, model, alias):
            time.sleep(_MOMENT)
            if found := _stray(registry, ledger, model, alias):
                yield found


def refuse_strays(registry: ModelRegistry, ledger: Ledger, model: str) -> None:
    """Refuse to go on with an alias that the ledger knows nothing of.

    Raises:
        DeploymentError: There is one.
    """
    if found := " ".join(strays(registry, ledger, model)):
        raise DeploymentError(found)


def _stray(registry: ModelRegistry, ledger: Ledger, model: str, alias: Alias) -> str | None:
    recorded, points_at = ledger.live(model, alias=alias), registry.alias(model, alias)
    if points_at == (recorded.to_version if recorded else None):
        return None
    return astray(model, alias, points_at, recorded)
