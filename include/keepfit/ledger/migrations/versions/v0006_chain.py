"""The chain of digests, with a link for every row there is; incidents, their answers, and outcomes."""

import sqlalchemy as sa
from alembic import op

from keepfit.ledger.migrations.back_fill import back_fill, keep_writers_out
from keepfit.ledger.migrations.versions.v0001_first_tables import TIME, _make_append_only, _required

revision = "0006_chain"
down_revision = "0005_approvals"

_NEW = ("links", "incidents", "incident_answers", "outcomes")


def upgrade() -> None:
    """Create the tables, seal what there is, and refuse every later change or deletion of a row."""
    keep_writers_out(op.get_bind())
    op.add_column("decisions", sa.Column("incident_key", sa.Text, nullable=True))
    _create_links()
    _create_incidents()
    _create_outcomes()
    back_fill(op.get_bind())
    for table in _NEW:
        _make_append_only(table)


def _create_links() -> None:
    op.create_table(
        "links",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        *(_required(name, sa.Text) for name in ("table", "key", "sealed", "digest")),
    )


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("key", sa.Text, primary_key=True),
        _required("view", sa.Text),
        _required("window_start", TIME),
        _required("window_end", TIME),
        _required("columns", sa.JSON),
        _required("models", sa.Integer),
        _required("reason", sa.Text),
        _required("opened_by", sa.Text),
        _required("opened_at", TIME),
    )
    op.create_table(
        "incident_answers",
        sa.Column("incident_key", sa.Text, primary_key=True),
        *(_required(name, sa.Text) for name in ("answer", "who", "why")),
        _required("answered_at", TIME),
    )


def _create_outcomes() -> None:
    op.create_table(
        "outcomes",
        sa.Column("id", sa.Integer, primary_key=True),
        *(_required(name, sa.Text) for name in ("model", "version", "role")),
        _required("window_start", TIME),
        _required("window_end", TIME),
        _required("metric", sa.Text),
        sa.Column("value", sa.Float),
        _required("rows", sa.BigInteger),
        sa.Column("maturity", sa.Float),
        _required("run_id", sa.Text),
        _required("recorded_at", TIME),
        sa.UniqueConstraint(
            "model", "version", "role", "window_start", "window_end", "metric", name="outcomes_once"
        ),
    )
