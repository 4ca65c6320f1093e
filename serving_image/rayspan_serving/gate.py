"""Who may ask, and for how long a request may take (plain ASGI).

    RAYSPAN_API_KEYS_FILE            of a mounted Secret, one key per line (keys.py); if set, requests need
                                     `Authorization: Bearer <one of them>`; if there are none, nobody may ask
    RAYSPAN_PROBE_TOKEN              from a Secret; the operator's own completions carry it as `x-rayspan-probe`:
                                     they need no API key and are left out of the latency figures
    RAYSPAN_REQUEST_TIMEOUT_SECONDS  whole requests, streams too; 0 or unset: no limit of ours

Serve's health route `/-/healthz` is answered by the proxy and never comes here; metrics have their own port.
"""

import asyncio
import hmac
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rayspan_serving import errors
from rayspan_serving.keys import Keys

PROBE_HEADER = b"x-rayspan-probe"


class Doorkeeper:
    """Turns away who has no API key, where one is needed."""

    def __init__(self, app: ASGIApp, environment: Mapping[str, str] = os.environ) -> None:
        self.app = app
        file = environment.get("RAYSPAN_API_KEYS_FILE")
        self._keys = None if file is None else Keys(Path(file))
        self._ours = operators(environment)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self._keys is None or self._ours(scope) or scope["method"] == "OPTIONS" or self._may_enter(scope):
            await self.app(scope, receive, send)
            return
        refusal = errors.response(401, "Incorrect or missing API key.", "invalid_api_key")
        refusal.headers["WWW-Authenticate"] = "Bearer"
        await refusal(scope, receive, send)

    def _may_enter(self, scope: Scope) -> bool:
        scheme, _, key = header(scope, b"authorization").partition(b" ")
        return scheme.lower() == b"bearer" and self._keys is not None and self._keys.open_to(key.strip())


class Noting:
    """A `send` that knows whether the response has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        await self._send(message)


class Deadline:
    """Ends a request that takes longer than it may: 504, or an error event where a stream has begun."""

    def __init__(self, app: ASGIApp, environment: Mapping[str, str] = os.environ) -> None:
        self.app = app
        self._seconds = float(environment.get("RAYSPAN_REQUEST_TIMEOUT_SECONDS") or 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._seconds <= 0:
            await self.app(scope, receive, send)
            return
        noting = Noting(send)
        timer = asyncio.timeout(self._seconds)
        try:
            async with timer:
                await self.app(scope, receive, noting)
        except TimeoutError:
            if not timer.expired():
                raise
            text = f"The request took longer than the {self._seconds:g} s it may take here."
            if noting.begun:
                event = errors.last_event(504, text, "timeout")
                await send({"type": "http.response.body", "body": event.encode()})
            else:
                await errors.response(504, text, "timeout")(scope, receive, send)


def operators(environment: Mapping[str, str]) -> Callable[[Scope], bool]:
    """Tells whether a request is one of the operator's own completions."""
    token = environment.get("RAYSPAN_PROBE_TOKEN", "").encode()
    return lambda scope: same(header(scope, PROBE_HEADER), token)


def header(scope: Scope, name: bytes) -> bytes:
    return next((bytes(value) for key, value in scope["headers"] if key.lower() == name), b"")


def same(given: bytes, secret: bytes) -> bool:
    """Whether a secret is set and this is it, in a time that does not tell how much of it was right."""
    return bool(secret) and hmac.compare_digest(given, secret)
