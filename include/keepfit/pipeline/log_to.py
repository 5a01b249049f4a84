"""Where a project's prediction logs lie: in its lake, in another folder, or on S3."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keepfit.backends.sources.s3 import is_s3
from keepfit.plugins import Access
from keepfit.spec import Locations, ServingSpec


@dataclass(frozen=True)
class LogTo:
    """A place, and who knows how to reach it."""

    place: str
    """A folder, or an `s3://` prefix."""
    connection: str | None
    access: Access

    def storage(self) -> Mapping[str, Any]:
        """Return what S3 has to be told, as it is now; nothing for a folder.

        Raises:
            SourceError: There is no such connection.
        """
        return self.access.storage(self.connection) if is_s3(self.place) else {}


def log_to(settings: ServingSpec, locations: Locations, access: Access) -> LogTo:
    """Find the place, which the server, the sweep and the monitors share."""
    if settings.log_to is None:
        return LogTo(str(locations.lake), None, access)
    place = settings.log_to if is_s3(settings.log_to) else str(locations.root / settings.log_to)
    return LogTo(place, settings.log_connection, access)
