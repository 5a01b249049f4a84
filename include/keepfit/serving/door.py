"""Who may ask: a bearer token at the door, before anything of a request is read."""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from keepfit.serving.answer import Refusal
from keepfit.spec.serving import TOKEN

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
OPEN = ("/live", "/ready")
"""Probes have no token, and learn nothing but whether to send requests here."""


class Door:
    """ASGI middleware; written by hand, since a token is compared at every request."""

    def __init__(self, app: App, token: str) -> None:
        """Let only those in who know the token."""
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, or refuse it."""
        if scope["type"] == "http" and scope["path"] not in OPEN and not self._knows(scope):
            await _refuse(send)
        else:
            await self._app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self._expected)


async def _refuse(send: Send) -> None:
    said = f"A token is needed: send `Authorization: Bearer <token>` with the server's {TOKEN}."
    headers = [
        (b"content-type", b"application/json"),
        (b"www-authenticate", b"Bearer"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": msgspec.json.encode(Refusal(said, [], None))})
