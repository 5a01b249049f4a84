"""The ledger's tables about features. A change here needs a migration."""

from sqlalchemy import JSON, Boolean, Column, Index, Integer, Table, Text

from keepfit.ledger.tables import Utc, metadata

edits = Table(
    "edits",
    metadata,
    # Numbering the edits makes two that are applied at once see each other.
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),
    Column("contents", JSON, nullable=False),
    Column("changes", JSON, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("applied_at", Utc, nullable=False),
)
feature_checks = Table(
    "feature_checks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("view", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("at", Utc, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("checked_at", Utc, nullable=False),
    Index("feature_checks_of_view", "view", "what", "id"),
)
