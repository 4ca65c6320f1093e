"""Sends clients elsewhere while this pod is going away (plain ASGI, in Serve's HTTP proxy).

A pod that is being deleted gets no new connections, but connections that are kept alive (Serve lets idle ones be for
90 s) would bring new requests until the end, and the last of them would be cut. From the moment that the drain
(`rayspan_serving.drain`) marks this pod, each answer closes its connection: the client's next request goes through
the Service to another pod. And each request that comes or goes from then on is told to the drain at once, in a
file: metrics would tell it two seconds late.
"""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MARK = Path(tempfile.gettempdir()) / "rayspan-draining"
"""Exists once this pod is going away; proxy and drain see the same file system."""
INSIDE = Path(tempfile.gettempdir()) / "rayspan-requests"
"""How many requests the proxy holds, written while the pod is going away."""


class Farewell:
    def __init__(
        self,
        app: ASGIApp,
        leaving: Callable[[], bool] = MARK.exists,
        tell: Callable[[str], object] = INSIDE.write_text,
    ) -> None:
        self.app = app
        self._leaving = leaving
        self._tell = tell
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._leaving():
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
            await send(message)

        self._count(+1)
        try:
            await self.app(scope, receive, closing)
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        self._inside += change
        if self._leaving():
            with contextlib.suppress(OSError):  # a full disk must not fail a request
                self._tell(str(self._inside))
