"""503 in place of waiting while Ray's head is away (plain ASGI, in Serve's HTTP proxy).

Without the head nobody tells Serve that a replica is gone, and nobody starts another: a request that Serve holds back for
one would wait until its connection is cut. Replicas that live are asked without the head (`rayspan_serving.direct`), so
what comes here and is not answered soon has none.
"""

import asyncio
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from rayspan_serving import errors
from rayspan_serving.gate import Noting

PATIENCE_SECONDS = 2.0
"""Before the head is looked for: a busy moment is not its fault."""
LOOK_SECONDS = 1.0
ANSWER_SECONDS = 2.0
"""For the head to answer in."""


class Headless:
    def __init__(self, app: ASGIApp, answers: Callable[[], bool], patience: float = PATIENCE_SECONDS) -> None:
        """answers: whether the head does; may take its time."""
        self.app = app
        self._answers = answers
        self._patience = patience
        self._looked = float("-inf")
        self._there = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        noting = Noting(send)
        asked = asyncio.ensure_future(self.app(scope, receive, noting))
        try:
            done, _ = await asyncio.wait({asked}, timeout=self._patience)
            while not done and (noting.begun or await self._head()):
                done, _ = await asyncio.wait({asked}, timeout=LOOK_SECONDS)
            if done or noting.begun:
                await asked
                return
        finally:
            asked.cancel()
        await errors.no_application()(scope, receive, send)

    async def _head(self) -> bool:
        """One look a second serves all that wait."""
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = time.monotonic()
            look = asyncio.to_thread(self._answers)
            try:
                self._there = await asyncio.wait_for(look, ANSWER_SECONDS)
            except TimeoutError:
                self._there = False
        return self._there
