"""A request's body, never read beyond what is allowed."""

import asyncio
from typing import Any, Protocol

from keepfit.serving.refused import RefusedError


class Request(Protocol):
    """What is used of a request."""

    @property
    def headers(self) -> Any:
        """Its headers."""

    @property
    def receive(self) -> Any:
        """Gives the next part of it."""


async def read_body(request: Request, most: int, seconds: float) -> bytes:
    """Return a whole body.

    Raises:
        RefusedError: It is too long, takes too long, or ends early.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _whole(request, most)
    except TimeoutError:
        raise RefusedError(
            408,
            f"The body was not here after {seconds:g} seconds. Send it faster, or raise "
            "serving.timeout_seconds.",
        ) from None


async def _whole(request: Request, most: int) -> bytes:
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > most:
        raise _too_long(most)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "The request ended before its body did.")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise _too_long(most)
        if not message.get("more_body"):
            return b"".join([*parts, part]) if parts else bytes(part)
        parts.append(part)


def _too_long(most: int) -> RefusedError:
    return RefusedError(
        413, f"The body is longer than {most:,} bytes. Split the request, or raise serving.max_body_bytes."
    )
