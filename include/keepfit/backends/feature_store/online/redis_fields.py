"""Fields of many Redis hashes in one trip, by a script that answers with one text for many of them."""

from collections.abc import Iterator, Sequence
from hashlib import sha1
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError

if TYPE_CHECKING:
    from redis import Redis

HASHES_A_CALL = 250
"""A script holds up all other clients while it runs."""

READ = """
-- KEYS: hashes. ARGV: fields. Returns the lengths of all values, and the values one after the other.
local lengths, values, place = {}, {}, 0
for _, key in ipairs(KEYS) do
  local found = redis.call('HMGET', key, unpack(ARGV))
  for field = 1, #ARGV do
    place = place + 1
    values[place] = found[field] or ''
    lengths[place] = #values[place]
  end
end
return {table.concat(lengths, ' '), table.concat(values)}
"""
_DIGEST = sha1(READ.encode(), usedforsecurity=False).hexdigest()

Group = tuple[Sequence[bytes], Sequence[str | bytes]]
"""Hashes, and the fields wanted of each."""
Columns = list[list[bytes]]
"""By field, one value for each hash, empty where there is none."""


def fetch(client: "Redis", groups: Sequence[Group]) -> list[Columns]:
    """Return the fields of groups of hashes."""
    calls = [list(_calls(keys, fields)) for keys, fields in groups]
    answers = iter(_run(client, [call for of_group in calls for call in of_group]))
    found = []
    for (_, fields), of_group in zip(groups, calls, strict=True):
        parts = [_cut(*next(answers), len(fields)) for _ in of_group]
        found.append([[value for part in parts for value in part[place]] for place in range(len(fields))])
    return found


def _calls(keys: Sequence[bytes], fields: Sequence[str | bytes]) -> Iterator[list[Any]]:
    for start in range(0, len(keys), HASHES_A_CALL):
        part = keys[start : start + HASHES_A_CALL]
        yield [_DIGEST, len(part), *part, *fields]


def _run(client: "Redis", calls: list[list[Any]]) -> list[tuple[bytes, bytes]]:
    try:
        return _sent(client, calls)
    except NoScriptError:
        client.script_load(READ)
        return _sent(client, calls)


def _sent(client: "Redis", calls: list[list[Any]]) -> list[tuple[bytes, bytes]]:
    if len(calls) == 1:
        answer: Any = client.evalsha(*calls[0])
        return [answer]
    with client.pipeline(transaction=False) as pipe:
        for call in calls:
            pipe.evalsha(*call)
        answers: list[tuple[bytes, bytes]] = pipe.execute()
    return answers


def _cut(lengths: bytes, values: bytes, fields: int) -> Columns:
    ends = accumulate(map(int, lengths.split()), initial=0)
    cut = [values[start:end] for start, end in pairwise(ends)]
    return [cut[place::fields] for place in range(fields)]
