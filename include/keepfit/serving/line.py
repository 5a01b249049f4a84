"""Which versions answer, and which of them answers whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any

import msgspec

from keepfit.serving.question import Row
from keepfit.serving.version import ServedVersion

CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"
_WHOLE = float(2**64)


@dataclass(frozen=True)
class Line:
    """A model's champion, and perhaps a challenger; replaced as a whole."""

    champion: ServedVersion
    since: datetime | None
    """When the champion became live, by the ledger."""
    challenger: ServedVersion | None = None
    share: float = 0.0
    """The part of the requests that the challenger answers; with 0 it is scored beside, as a shadow."""

    def choose(self, row: Row, request_id: str, at: int) -> tuple[ServedVersion, str]:
        """Return who answers a row: the same for the same sticky key, else entities, else request."""
        if self.challenger is None or not self.share:
            return self.champion, CHAMPION
        if row.sticky is not None:
            who = str(row.sticky)
        else:
            who = _written(row.entities) if row.entities else f"{request_id}/{at}"
        if fraction(f"{self.challenger.model}\n{self.challenger.version}\n{who}") < self.share:
            return self.challenger, CHALLENGER
        return self.champion, CHAMPION

    @cached_property
    def features(self) -> frozenset[str]:
        """Name the features that the versions take."""
        names = frozenset(self.champion.coder.names)
        return names.union(self.challenger.coder.names) if self.challenger else names

    @property
    def shadow(self) -> ServedVersion | None:
        """Return the challenger if it is only scored beside."""
        return None if self.share else self.challenger


def fraction(who: str) -> float:
    """Spread names evenly over 0 to 1, always to the same place."""
    return int.from_bytes(blake2b(who.encode(), digest_size=8).digest()) / _WHOLE


def _written(entities: Mapping[str, Any]) -> str:
    return msgspec.json.encode(entities, order="sorted").decode()
