"""What a reader asks of an online store, and what the store answers: bytes as they are stored."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from feast import FeatureView

Key = bytes | None
"""An entity's key; None where a row has none."""


@dataclass(frozen=True)
class Asked:
    """Features of one view."""

    view: FeatureView
    features: tuple[str, ...]


@dataclass(frozen=True)
class Stored:
    """What is stored of one view, for each of the keys that were asked for."""

    columns: Sequence[Sequence[bytes | None]]
    """By feature, in the order asked; None or empty where there is no value."""
    moments: Sequence[datetime | None]
    """When what is stored became known; None where nothing is stored of the entity."""


class Reading(ABC):
    """Reads some views of an online store, from any thread."""

    @abstractmethod
    def read(self, keys: Sequence[Sequence[Key]]) -> list[Stored]:
        """Return what is stored of each view's keys."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections that are the reader's own."""
