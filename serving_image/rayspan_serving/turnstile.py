"""So many requests at a time; the others wait for their turn (plain ASGI)."""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send


class Turnstile:
    def __init__(self, app: ASGIApp, limit: Callable[[], int]) -> None:
        """limit: how many may be inside now; asked anew for each, since it may be changed while it serves."""
        self.app = app
        self._limit = limit
        self._inside = 0
        self._freed = asyncio.Condition()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._freed:
            await self._freed.wait_for(lambda: self._inside < self._limit())
            self._inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._inside -= 1
            async with self._freed:
                self._freed.notify()
