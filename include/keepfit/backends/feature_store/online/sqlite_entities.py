"""Entities of a SQLite online store, as their bytes, one statement a view."""

import sqlite3
from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from keepfit.backends.engine import identifier

KEYS_A_STATEMENT = 1000

Entity = tuple[dict[str, bytes], str]
"""Values by feature, and the latest of their event times as SQLite has it."""


def entities_of(
    connection: sqlite3.Connection, table: str, keys: Iterable[bytes], features: Collection[str]
) -> dict[bytes, Entity]:
    """Return what a view's table holds of some entities and features.

    A feature may be new to an entity, or have gone from the view, so that others have other event times.
    """
    wanted = list(dict.fromkeys(keys))
    found: dict[bytes, Entity] = {}
    for start in range(0, len(wanted), KEYS_A_STATEMENT):
        part = wanted[start : start + KEYS_A_STATEMENT]
        # As a text, the time does not go through Python's converter row by row.
        statement = (
            f"SELECT entity_key, feature_name, value, CAST(event_ts AS TEXT) FROM {identifier(table)} "
            f"WHERE entity_key IN ({','.join('?' * len(part))})"
        )
        for key, feature, value, moment in connection.execute(statement, part):
            if feature not in features:
                continue
            entity = found.get(key)
            if entity is None:
                found[key] = ({feature: value}, moment)
                continue
            entity[0][feature] = value
            if moment != entity[1] and moment_of(moment) > moment_of(entity[1]):
                found[key] = (entity[0], moment)
    return found


def moment_of(stored: str) -> datetime:
    """Return an event's time in UTC, as Feast does."""
    found = read_moment(stored)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def read_moment(text: str) -> datetime:
    """Read what Feast stores, seconds since 1970, and what others store in columns of that type."""
    return datetime.fromtimestamp(int(text)) if text.lstrip("-").isdigit() else datetime.fromisoformat(text)  # noqa: DTZ006
