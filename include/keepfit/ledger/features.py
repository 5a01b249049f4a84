"""What was applied of `feature_repo/`, and how fit its features were found. Nothing is ever changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import select

from keepfit.errors import NotReadyError
from keepfit.ledger.engine import transaction
from keepfit.ledger.feature_tables import edits, feature_checks
from keepfit.ledger.store import Store

What = Literal["freshness", "parity"]


@dataclass(frozen=True)
class Edit:
    """A state of `feature_repo/` that was applied, and what it changed."""

    position: int
    digest: str
    """Of the contents."""
    contents: Mapping[str, Any]
    changes: tuple[str, ...]
    run_id: str
    applied_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class FeatureCheck:
    """How fresh a view was found, or whether its online values agreed with its published ones."""

    view: str
    what: What
    passed: bool
    reason: str
    evidence: Mapping[str, Any]
    at: datetime
    """The data time it is about."""
    run_id: str
    checked_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class FeatureLedger(Store):
    """The part of the ledger that is about features, in the same database."""

    def last_edit(self) -> Edit | None:
        """Return what was applied last; None before the first."""
        columns = [edits.c[each.name] for each in fields(Edit)]
        newest = select(*columns).order_by(edits.c.position.desc()).limit(1)
        with transaction(self._engine) as connection:
            row = connection.execute(newest).mappings().first()
        return Edit(**{**row, "changes": tuple(row["changes"])}) if row else None

    def was_applied(self, position: int, digest: str) -> bool:
        """Tell whether an edit of this number came to its end with this content."""
        found = select(edits.c.digest).where(edits.c.position == position)
        with transaction(self._engine) as connection:
            return connection.execute(found).scalar() == digest

    def record_edit(self, edit: Edit) -> None:
        """Record what was applied.

        Raises:
            NotReadyError: Another edit was applied meanwhile.
        """
        if not self._append(edits, edit):
            raise NotReadyError(
                f"Another edit was applied while run {edit.run_id} was at work. Plan again, and apply that."
            )

    def record_check(self, check: FeatureCheck) -> None:
        """Record a check of a view."""
        self._append(feature_checks, check)

    def last_check(self, view: str, what: What) -> FeatureCheck | None:
        """Return the last check of a view; None before the first."""
        of = feature_checks.c
        newest = (
            select(*(of[each.name] for each in fields(FeatureCheck)))
            .where(of.view == view, of.what == what)
            .order_by(of.id.desc())
            .limit(1)
        )
        with transaction(self._engine) as connection:
            row = connection.execute(newest).mappings().first()
        return FeatureCheck(**row) if row else None
