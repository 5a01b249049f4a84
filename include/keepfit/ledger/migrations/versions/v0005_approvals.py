"""What was said of a version that waited for somebody's approval."""

import sqlalchemy as sa
from alembic import op

from keepfit.ledger.migrations.versions.v0001_first_tables import TIME, _make_append_only, _required

revision = "0005_approvals"
down_revision = "0004_shares"


def upgrade() -> None:
    """Create the table and refuse every later change or deletion of a row."""
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer, primary_key=True),
        *(_required(name, sa.Text) for name in ("model", "version", "run_id", "answer", "who", "why")),
        _required("answered_at", TIME),
        sa.UniqueConstraint("model", "run_id", "answered_at", name="approvals_once"),
    )
    _make_append_only("approvals")
