"""Sends clients elsewhere while this pod is going away (plain ASGI, in Serve's HTTP proxy).

A pod that is being deleted gets no new connections, but connections that are kept alive would bring new requests
until the end, and the last of them would be cut. From the moment that the drain (`rayspan_serving.drain`) marks
this pod, each answer closes its connection: the client's next request goes through the Service to another pod.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MARK = Path(tempfile.gettempdir()) / "rayspan-draining"
"""Exists once this pod is going away; proxy and drain see the same file system."""


class Farewell:
    def __init__(self, app: ASGIApp, leaving: Callable[[], bool] = MARK.exists) -> None:
        self.app = app
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._leaving():
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
            await send(message)

        await self.app(scope, receive, closing if scope["type"] == "http" else send)
