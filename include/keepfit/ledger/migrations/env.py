"""Run the migrations on the connection that `migrate` lends: Alembic opens none of its own."""

from alembic import context

from keepfit.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # Its own name lets the ledger share a database with something else that Alembic migrates.
    version_table="keepfit_ledger_version",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
