"""Finds a project's entities in Redis, whose keys all begin alike and end with the project's name."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from feast.infra.online_stores.helpers import _redis_key_prefix

ENTITIES_A_CALL = 250
"""A script holds up all other clients while it runs; this many entities take about a millisecond."""
KEYS_A_LOOK = 2_000
"""The server looks at all keys of the database, so many at a time, and answers with those that fit."""


def keys_of(client: Any, project: str, join_keys: Sequence[str]) -> Iterator[list[bytes]]:
    """Find what a project holds of entities with these keys, so many at a time as a script may take."""
    name = project.encode()
    pattern = _literally(_redis_key_prefix(list(join_keys))) + b"*" + _literally(name)
    found = client.scan_iter(match=pattern, count=KEYS_A_LOOK, _type="HASH")
    mine = (key for key in found if _is_of(name, key))
    while keys := list(islice(mine, ENTITIES_A_CALL)):
        yield keys


def _literally(text: bytes) -> bytes:
    """Write a pattern that only this text fits."""
    return re.sub(rb"([*?\[\]\\^-])", rb"\\\1", text)


def _is_of(project: bytes, key: bytes) -> bool:
    """Tell a project's keys from those of one whose name only ends like its own.

    An entity's key says where it ends: a count, and so many names and values, each after type and length.
    """
    end, place = len(key) - len(project), 4
    parts = 2 * int.from_bytes(key[:4], "little")
    while parts and place < end:
        place += 8 + int.from_bytes(key[place + 4 : place + 8], "little")
        parts -= 1
    return (parts, place) == (0, end)
