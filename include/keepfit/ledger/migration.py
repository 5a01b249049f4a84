"""Bring a ledger's database to this version, once, however many start at the same time."""

from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, Connection, text

from keepfit.ledger.engine import connect_to, parse_url, transaction

_LOCK = 0x6B656570
"""The key of PostgreSQL's advisory lock: "keep" in ASCII."""


def migrate(url: str) -> None:
    """Create or upgrade the ledger's tables; makes the folder of a SQLite file.

    It is one transaction that others wait for: an interrupted migration leaves nothing behind.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        _make_file(parsed)
        with transaction(connect_to(parsed), alone=True) as connection:
            _upgrade(connection)
    else:
        with transaction(connect_to(parsed)) as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "keepfit.ledger:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _make_file(url: URL) -> None:
    file = Path(url.database or "")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    # Not in a transaction, as all that an engine runs would be.
    with closing(connect_to(url).raw_connection()) as connection:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
