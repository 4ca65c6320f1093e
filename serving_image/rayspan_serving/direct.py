"""The short way to a replica (plain ASGI, in Serve's HTTP proxy): HTTP, from the proxy to the replica's own server.

On Serve's way each token passes three processes, as a Ray message between them: 2.9 ms of CPU a token, and 26 ms to the
first one (docs/performance.md). Here the proxy sends the request straight to a replica (`rayspan_serving.replica_http`) and
hands the pieces on as they come. The clock is before both ways and does not know which one was taken.

Serve's way stays, for whatever this one does not bring to an answer: no replica known, none that takes the connection, one
that was lost before its output began, one that answers 503. There the request is asked again of another replica, or told
that there is none (`rayspan_serving.ingress`). A stream that breaks after its first piece ends with an error event.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import aiohttp
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rayspan_serving import errors, upstream
from rayspan_serving.balance import Balance, Target
from rayspan_serving.clock import REPLICA_HEADER, measured
from rayspan_serving.gate import header

logger = logging.getLogger("ray.serve")

ATTEMPTS = 2
BROKEN = errors.last_event(*errors.LOST).encode()
"""The end of a stream whose replica was lost."""


class Direct:
    def __init__(
        self,
        app: ASGIApp,
        targets: Callable[[], Sequence[Target]],
        ours: Callable[[Scope], bool] = lambda scope: False,
    ) -> None:
        """targets: the replicas that can be asked now; ours: tells the operator's own requests, which name theirs."""
        self.app = app
        self._targets = targets
        targets()  # begins to listen: with the first request it might be too late, for the head may be away by then
        self._ours = ours
        self._balance = Balance()
        self._serve = innermost(app)
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        targets = self._candidates(scope) if measured(scope) else []
        if not targets:
            await self.app(scope, receive, send)
            return
        body = await whole(receive)
        if body is None:
            return
        with self._counted_by_serve():
            for target in targets[:ATTEMPTS]:
                if await self._unless_left(self._ask(target, scope, body, send), receive):
                    return
        await self.app(scope, again(body, receive), send)

    def _candidates(self, scope: Scope) -> Sequence[Target]:
        """The replicas to try, in order; the one that the operator's probe names, and no other."""
        known = self._targets()
        meant = header(scope, REPLICA_HEADER).decode("latin-1")
        if meant and self._ours(scope):
            return [one for one in known if one.replica == meant]
        return self._balance.order(known)

    @contextlib.contextmanager
    def _counted_by_serve(self) -> Iterator[None]:
        """Serve ends a draining proxy that has no request left; ours count."""
        if self._serve is None:
            yield
            return
        self._serve._ongoing_requests_start()
        try:
            yield
        finally:
            self._serve._ongoing_requests_end()

    async def _unless_left(self, asking: Any, receive: Receive) -> bool:
        """Whether there is nothing more to do: it was answered, or the client is gone."""
        ask = asyncio.ensure_future(asking)
        left = asyncio.ensure_future(gone(receive))
        try:
            await asyncio.wait({ask, left}, return_when=asyncio.FIRST_COMPLETED)
            return ask.result() if ask.done() else True
        finally:
            for task in (ask, left):
                task.cancel()
            await asyncio.gather(ask, left, return_exceptions=True)

    async def _ask(self, target: Target, scope: Scope, body: bytes, send: Send) -> bool:
        """Whether the client has an answer; False: nothing was sent to it."""
        begun = False
        with self._balance.turn(target):
            try:
                place, headers = upstream.place(target.url, scope), upstream.handed_on(scope)
                async with self._client().post(place, data=body, headers=headers) as answer:
                    if answer.status == 503:
                        return False
                    at_once = None if upstream.is_stream(answer) else await answer.read()
                    begun = True
                    await send(upstream.start(answer))
                    if at_once is None:
                        async for piece in upstream.pieces(answer):
                            await send({"type": "http.response.body", "body": piece, "more_body": True})
                    await send({"type": "http.response.body", "body": at_once or b""})
                    return True
            except (aiohttp.ClientError, OSError) as error:
                logger.warning("replica %s broke off: %r", target.replica, error)
                if not begun:
                    self._balance.rest(target)
                    return False
            await send({"type": "http.response.body", "body": BROKEN})
            return True

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = upstream.session()
        return self._session


def innermost(app: Any) -> Any:
    """Serve's own proxy under its middlewares, which counts requests; None where there is none."""
    while app is not None and not hasattr(app, "_ongoing_requests_start"):
        app = getattr(app, "app", None) or getattr(app, "_app", None)
    return app


async def whole(receive: Receive) -> bytes | None:
    """The request's body; None when the client left before it was there."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def again(body: bytes, receive: Receive) -> Receive:
    """The same request once more, for the next in line."""
    first = True

    async def replayed() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replayed


async def gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
