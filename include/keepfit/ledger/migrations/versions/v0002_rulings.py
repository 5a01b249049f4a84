"""What became of rows in quarantine."""

import sqlalchemy as sa
from alembic import op

from keepfit.ledger.migrations.versions.v0001_first_tables import TIME, _make_append_only, _required

revision = "0002_rulings"
down_revision = "0001"


def upgrade() -> None:
    """Create the table and refuse every later change or deletion of a row."""
    op.create_table(
        "rulings",
        sa.Column("id", sa.Integer, primary_key=True),
        *(
            _required(name, sa.Text)
            for name in ("dataset", "row_key", "digest", "window", "ruling", "who", "run_id")
        ),
        _required("ruled_at", TIME),
        sa.UniqueConstraint("dataset", "row_key", "digest", "run_id", name="rulings_once"),
    )
    op.create_index("rulings_of_dataset", "rulings", ["dataset", "id"])
    _make_append_only("rulings")
