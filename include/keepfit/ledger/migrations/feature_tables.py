"""The tables about features, as the first version makes them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

TABLES = ("edits", "feature_checks")
TIME = sa.DateTime(timezone=True)


def create_feature_tables() -> None:
    """Create the tables of applied edits and of checks."""
    op.create_table(
        "edits",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        _required("digest", sa.Text),
        _required("contents", sa.JSON),
        _required("changes", sa.JSON),
        _required("run_id", sa.Text),
        _required("applied_at", TIME),
    )
    op.create_table(
        "feature_checks",
        sa.Column("id", sa.Integer, primary_key=True),
        _required("view", sa.Text),
        _required("what", sa.Text),
        _required("passed", sa.Boolean),
        _required("reason", sa.Text),
        _required("evidence", sa.JSON),
        _required("at", TIME),
        _required("run_id", sa.Text),
        _required("checked_at", TIME),
    )
    op.create_index("feature_checks_of_view", "feature_checks", ["view", "what", "id"])


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)
