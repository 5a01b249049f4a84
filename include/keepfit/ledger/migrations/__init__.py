"""Alembic's environment of the ledger; `keepfit.ledger.migrate` runs it."""
