"""The first four tables, and the triggers that keep them append-only."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from keepfit.ledger.migrations.feature_tables import TABLES as FEATURE_TABLES
from keepfit.ledger.migrations.feature_tables import create_feature_tables

revision = "0001"
down_revision = None

TABLES = ("publications", "decisions", "trainings", "deployments")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables and refuse every later change or deletion of a row."""
    _create_publications()
    _create_decisions()
    _create_trainings()
    _create_deployments()
    create_feature_tables()
    for table in (*TABLES, *FEATURE_TABLES):
        _make_append_only(table)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _create_publications() -> None:
    op.create_table(
        "publications",
        sa.Column("id", sa.Integer, primary_key=True),
        _required("dataset", sa.Text),
        sa.Column("window_start", TIME),
        sa.Column("window_end", TIME),
        _required("rows", sa.BigInteger),
        _required("digest", sa.Text),
        _required("version", sa.BigInteger),
        _required("run_id", sa.Text),
        _required("published_at", TIME),
        sa.UniqueConstraint("dataset", "version", "run_id", name="publications_once"),
    )
    op.create_index("publications_of_dataset", "publications", ["dataset", "window_end"])


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("key", sa.Text, primary_key=True),
        _required("model", sa.Text),
        _required("policy_version", sa.Text),
        _required("window_start", TIME),
        _required("window_end", TIME),
        _required("verdict", sa.Text),
        _required("trigger", sa.Text),
        _required("reason", sa.Text),
        _required("evidence", sa.JSON),
        sa.Column("run_id", sa.Text),
        _required("decided_by", sa.Text),
        _required("decided_at", TIME),
    )
    op.create_index("decisions_of_model", "decisions", ["model", "window_end"])


def _create_trainings() -> None:
    op.create_table(
        "trainings",
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("failed", sa.Boolean, primary_key=True),
        sa.Column("decision_key", sa.Text),
        _required("as_of", TIME),
        sa.Column("version", sa.Text),
        _required("verdict", sa.Text),
        _required("reasons", sa.JSON),
        _required("metrics", sa.JSON),
        _required("recorded_at", TIME),
    )
    op.create_index("trainings_of_model", "trainings", ["model", "as_of"])


def _create_deployments() -> None:
    op.create_table(
        "deployments",
        _required("model", sa.Text),
        _required("alias", sa.Text),
        _required("position", sa.Integer),
        sa.Column("from_version", sa.Text),
        _required("to_version", sa.Text),
        _required("who", sa.Text),
        _required("why", sa.Text),
        sa.Column("decision_key", sa.Text),
        _required("run_id", sa.Text),
        _required("moved_at", TIME),
        sa.UniqueConstraint("model", "alias", "position", name="deployments_in_order"),
    )


def _make_append_only(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            text = f"the ledger is append-only: {table} takes no {change}"
            op.execute(
                f"CREATE TRIGGER {table}_refuse_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{text}'); END"
            )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION keepfit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION 'the ledger is append-only: % takes no %', TG_TABLE_NAME, TG_OP; "
        "END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION keepfit_refuse_change()"
    )
