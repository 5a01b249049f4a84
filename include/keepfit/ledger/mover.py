"""One mover of a model's aliases at a time, on however many machines."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import blake2b

from sqlalchemy import Connection, Engine, text

from keepfit.ledger.engine import transaction

_PAUSE = 0.05


@contextmanager
def only_mover(engine: Engine, model: str, wait: timedelta) -> Iterator[bool]:
    """Hold PostgreSQL's advisory lock of a model for as long as the block lasts; a dead holder's is free."""
    if engine.dialect.name == "sqlite":
        yield True
        return
    with transaction(engine) as connection:
        yield _held(connection, _key(model), time.monotonic() + wait.total_seconds())


def _held(connection: Connection, key: int, until: float) -> bool:
    while True:
        if connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": key}).scalar():
            return True
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE)


def _key(model: str) -> int:
    return int.from_bytes(blake2b(f"keepfit moves {model}".encode(), digest_size=8).digest(), signed=True)
