"""A request that is not answered, and why."""

from collections.abc import Iterable

from keepfit.errors import KeepfitError


class RefusedError(KeepfitError):
    """A request cannot be answered; `fields` names what of it is wrong."""

    def __init__(self, status: int, detail: str, fields: Iterable[str] = ()) -> None:
        """Say with which HTTP status, why, and where."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = tuple(fields)
