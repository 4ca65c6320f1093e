"""The HTTP server of one replica, for the proxies that ask it directly (`rayspan_serving.direct`).

The same endpoints with the same words as the ingress has (`rayspan_serving.endpoints`), in the replica's own process:
there is no replica to choose, and nobody to ask again. It listens on the pod's address, on a port that the kernel gives;
who may come there is settled by the NetworkPolicy of the Ray pods, and who may ask by the same keys as at the serving
port.

Serve's limit of requests at a time counts those that Serve sent. Those that come here have as many places of their own, and
wait for one as they would in Serve.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from fastapi import Request
from ray.serve.context import _RequestContext, _serve_request_context
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from rayspan_serving.clock import REPLICA_HEADER
from rayspan_serving.endpoints import Call, Endpoints, web_app
from rayspan_serving.gate import header
from rayspan_serving.routes import Allowed, endpoints
from rayspan_serving.turnstile import Turnstile

KEEP_SECONDS = 75
"""Of an idle connection: longer than proxies keep theirs, so that none is closed under a request."""


class Here:
    """In place of a handle to the model's deployment: the replica itself."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def options(self, **_: Any) -> "Here":
        return self

    def __getattr__(self, method: str) -> "Method":
        return Method(getattr(self._server, method))


class Method:
    def __init__(self, call: Callable[..., Awaitable[AsyncIterator[Any]]]) -> None:
        self._call = call

    async def remote(self, *arguments: Any) -> AsyncIterator[Any]:
        async for piece in await self._call(*arguments):
            yield piece


class Desk(Endpoints):
    """The same endpoints with one replica behind them: this one."""

    def __init__(self, server: Any, model: str, card: Any, replica: str) -> None:
        super().__init__({model: Here(server)}, {model: card})
        self._replica = replica

    async def _answer(self, request: Request, call: Call) -> Response:
        try:
            response = await call()
            if isinstance(response, StreamingResponse):
                response = await self._begun(response)
        except Exception as error:
            response = self._failure(error)
        response.headers[REPLICA_HEADER.decode()] = self._replica
        return response


class Named:
    """Serve's context of a request, with the id that the proxy gave it (plain ASGI)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = header(scope, b"x-request-id").decode("latin-1")
        _serve_request_context.set(_RequestContext(request_id=name))
        await self.app(scope, receive, send)


def desk_app(desk: Desk, limit: Callable[[], int]) -> ASGIApp:
    app = web_app()
    for method, route in endpoints().items():
        route(app)(getattr(desk, method))
    return Allowed(Turnstile(Named(app), limit))


class ReplicaServer(uvicorn.Server):
    """Serves in the loop it is started in, beside the engine's client."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.bind((host, 0))
        port = self._socket.getsockname()[1]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                timeout_keep_alive=KEEP_SECONDS,
            )
        )
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._task = asyncio.create_task(self.serve(sockets=[self._socket]))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are Ray's."""
        yield

    async def end(self) -> None:
        """Takes nothing new, and waits for what it has."""
        self.should_exit = True
        if self._task is not None:
            await self._task
