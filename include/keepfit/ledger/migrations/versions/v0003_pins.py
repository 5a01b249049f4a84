"""Which record a training's version can be rebuilt from, said where the model registry cannot change it."""

import sqlalchemy as sa
from alembic import op

revision = "0003_pins"
down_revision = "0002_rulings"


def upgrade() -> None:
    """Add the record's SHA-256; trainings recorded before have none."""
    op.add_column("trainings", sa.Column("pins_sha256", sa.Text, nullable=True))
