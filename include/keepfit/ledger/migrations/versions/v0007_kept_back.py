"""Which held trainings an incident's answer keeps back all the same, and why."""

import sqlalchemy as sa
from alembic import op

revision = "0007_kept_back"
down_revision = "0006_chain"


def upgrade() -> None:
    """Add the column; answers given before kept nothing back, and their seals stay as they are."""
    op.add_column("incident_answers", sa.Column("kept_back", sa.JSON, nullable=True))
