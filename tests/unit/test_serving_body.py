"""How long the server waits for a request's body."""

import asyncio
from typing import Any

import pytest

from keepfit.serving.body import read_body
from keepfit.serving.refused import RefusedError


class Slow:
    """A request whose body comes sign by sign, so many seconds apart."""

    def __init__(self, apart: float) -> None:
        self.headers: dict[str, str] = {}
        self._apart, self._left = apart, 5

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(self._apart)
        self._left -= 1
        return {"type": "http.request", "body": b"x", "more_body": self._left > 0}


def test_a_body_that_comes_too_slowly_is_cut_off() -> None:
    with pytest.raises(RefusedError) as found:
        asyncio.run(read_body(Slow(30), 100, 0.05))
    assert found.value.status == 408
    assert found.value.detail == (
        "The body was not here after 0.05 seconds. Send it faster, or raise serving.timeout_seconds."
    )


def test_a_body_in_parts_is_read_whole() -> None:
    assert asyncio.run(read_body(Slow(0), 100, 30)) == b"xxxxx"
