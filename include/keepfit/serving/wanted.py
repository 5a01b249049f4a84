"""Who should answer, by registry and ledger."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from keepfit.backends.model_registry import CHALLENGER, CHAMPION, ModelRegistry
from keepfit.errors import LedgerError, RegistryError
from keepfit.ledger import Ledger
from keepfit.spec import Locations

_FILE = "sqlite:///"


@dataclass(frozen=True)
class Wanted:
    """The aliases of a model; what the ledger knows of them, unless it is away."""

    champion: str | None
    since: datetime | None
    challenger: str | None
    share: float | None
    """None where the ledger does not say."""
    problem: str | None = None


class Pointers:
    """Reads aliases and shares."""

    def __init__(self, locations: Locations) -> None:
        """Refer to registry and ledger; nothing is opened yet."""
        self._registry_url, self._ledger = locations.tracking_uri, Ledger(locations.ledger_url)
        self.registry = ModelRegistry(locations.tracking_uri, locations.artifacts)

    def wanted(self, model: str) -> Wanted:
        """Return who should answer for a model.

        Raises:
            RegistryError: The registry is away.
        """
        if missing := _missing(self._registry_url):
            raise RegistryError(f"The model registry is away: {missing} is not there.")
        champion = self.registry.alias(model, CHAMPION)
        challenger = self.registry.alias(model, CHALLENGER)
        if challenger == champion:
            challenger = None
        try:
            since, share = self._since(model, champion), self._share(model, challenger)
        except LedgerError as error:
            return Wanted(champion, None, challenger, None, f"The ledger is away: {error}")
        return Wanted(champion, since, challenger, share)

    def _since(self, model: str, champion: str | None) -> datetime | None:
        move = self._ledger.live(model)
        return move.moved_at if move and move.to_version == champion else None

    def _share(self, model: str, challenger: str | None) -> float | None:
        if challenger is None:
            return 0.0
        move = self._ledger.live(model, alias=CHALLENGER)
        return (move.share or 0.0) if move and move.to_version == challenger else 0.0


def _missing(url: str) -> Path | None:
    """Return a database's file that is gone: to open it would make an empty one."""
    file = Path(url.removeprefix(_FILE))
    return file if url.startswith(_FILE) and not file.exists() else None
