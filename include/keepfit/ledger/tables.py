"""The ledger's tables. A change here needs a migration beside `migrations/versions`."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy import UniqueConstraint as Unique

metadata = MetaData()


class Utc(TypeDecorator[datetime]):
    """A time with its zone; SQLite keeps none, so it is stored there as plain UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Write a time in UTC."""
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(
        self,
        value: datetime | None,
        dialect: Dialect,  # noqa: ARG002 - SQLAlchemy's signature
    ) -> datetime | None:
        """Read a time with its zone."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null)


def _time(name: str, *, null: bool = False) -> Column[datetime]:
    return Column(name, Utc, nullable=null)


publications = Table(
    "publications",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("dataset"),
    _time("window_start", null=True),
    _time("window_end", null=True),
    Column("rows", BigInteger, nullable=False),
    _text("digest"),
    Column("version", BigInteger, nullable=False),
    _text("run_id"),
    _time("published_at"),
    Unique("dataset", "version", "run_id", name="publications_once"),
    Index("publications_of_dataset", "dataset", "window_end"),
)
decisions = Table(
    "decisions",
    metadata,
    Column("key", Text, primary_key=True),
    _text("model"),
    _text("policy_version"),
    _time("window_start"),
    _time("window_end"),
    _text("verdict"),
    _text("trigger"),
    _text("reason"),
    Column("evidence", JSON, nullable=False),
    _text("run_id", null=True),
    _text("decided_by"),
    _time("decided_at"),
    _text("incident_key", null=True),
    Index("decisions_of_model", "model", "window_end"),
)
trainings = Table(
    "trainings",
    metadata,
    # A run's id is unique only within its DAG, so within its model.
    Column("model", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    # A failed task may be cleared and the run end well: its error and its verdict are two records.
    Column("failed", Boolean, primary_key=True),
    _text("decision_key", null=True),
    _time("as_of"),
    _text("version", null=True),
    _text("verdict"),
    Column("reasons", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    _text("pins_sha256", null=True),
    _time("recorded_at"),
    Index("trainings_of_model", "model", "as_of"),
)
deployments = Table(
    "deployments",
    metadata,
    _text("model"),
    _text("alias"),
    Column("position", Integer, nullable=False),
    _text("from_version", null=True),
    _text("to_version", null=True),
    _text("who"),
    _text("why"),
    _text("decision_key", null=True),
    _text("run_id"),
    Column("share", Float, nullable=True),
    _time("moved_at"),
    # Numbering the moves of an alias makes two movers at once see each other.
    Unique("model", "alias", "position", name="deployments_in_order"),
)
approvals = Table(
    "approvals",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("model"),
    _text("version"),
    _text("run_id"),
    _text("answer"),
    _text("who"),
    _text("why"),
    _time("answered_at"),
    # A task that is tried again tells of the same answer; one that is cleared asks anew.
    Unique("model", "run_id", "answered_at", name="approvals_once"),
)
rulings = Table(
    "rulings",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("dataset"),
    _text("row_key"),
    _text("digest"),
    _text("window"),
    _text("ruling"),
    _text("who"),
    _text("run_id"),
    _time("ruled_at"),
    # Rows that are equal in all columns are ruled on together.
    Unique("dataset", "row_key", "digest", "run_id", name="rulings_once"),
    Index("rulings_of_dataset", "dataset", "id"),
)
incidents = Table(
    "incidents",
    metadata,
    Column("key", Text, primary_key=True),
    _text("view"),
    _time("window_start"),
    _time("window_end"),
    Column("columns", JSON, nullable=False),
    Column("models", Integer, nullable=False),
    _text("reason"),
    _text("opened_by"),
    _time("opened_at"),
)
incident_answers = Table(
    "incident_answers",
    metadata,
    Column("incident_key", Text, primary_key=True),
    _text("answer"),
    _text("who"),
    _text("why"),
    _time("answered_at"),
    Column("kept_back", JSON(none_as_null=True), nullable=True),
)
outcomes = Table(
    "outcomes",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("model"),
    _text("version"),
    _text("role"),
    _time("window_start"),
    _time("window_end"),
    _text("metric"),
    Column("value", Float, nullable=True),
    Column("rows", BigInteger, nullable=False),
    Column("maturity", Float, nullable=True),
    _text("run_id"),
    _time("recorded_at"),
    Unique("model", "version", "role", "window_start", "window_end", "metric", name="outcomes_once"),
)
links = Table(
    "links",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    _text("table"),
    # The sealed row's key as JSON; of rows that were inserted together, the first id and the last.
    _text("key"),
    _text("sealed"),
    _text("digest"),
)
