"""Which share a challenger answers; and that an alias was taken away."""

import sqlalchemy as sa
from alembic import op

from keepfit.ledger.migrations.versions.v0001_first_tables import TIME, _make_append_only, _required

revision = "0004_shares"
down_revision = "0003_pins"

KEPT = "model, alias, position, from_version, to_version, who, why, decision_key, run_id, moved_at"


def upgrade() -> None:
    """Add the share, and let a move lead to no version; moves recorded before have no share."""
    if op.get_bind().dialect.name == "sqlite":
        _make_again()
    else:
        op.add_column("deployments", sa.Column("share", sa.Float, nullable=True))
        op.alter_column("deployments", "to_version", nullable=True)


def _make_again() -> None:
    """Copy the table: SQLite cannot let an existing column be null."""
    op.rename_table("deployments", "deployments_before")
    for change in ("update", "delete"):
        op.execute(f"DROP TRIGGER deployments_refuse_{change}")
    op.create_table(
        "deployments",
        _required("model", sa.Text),
        _required("alias", sa.Text),
        _required("position", sa.Integer),
        sa.Column("from_version", sa.Text),
        sa.Column("to_version", sa.Text),
        _required("who", sa.Text),
        _required("why", sa.Text),
        sa.Column("decision_key", sa.Text),
        _required("run_id", sa.Text),
        sa.Column("share", sa.Float),
        _required("moved_at", TIME),
        sa.UniqueConstraint("model", "alias", "position", name="deployments_in_order"),
    )
    op.execute(f"INSERT INTO deployments ({KEPT}) SELECT {KEPT} FROM deployments_before")
    op.drop_table("deployments_before")
    _make_append_only("deployments")
