"""A client that asks without pause, and what it saw: the outage as a user would have met it.

Runs in a thread with its own event loop, so that a test can do something to the cluster meanwhile. Each
request is short and streaming; one that has not ended within ``timeout`` seconds counts as hung.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Self

import aiohttp

from tests.kubectl import Refused
from tests.streaming import Request, ask

FAIL_FAST = 35
"""Longest time in seconds that any request may take to fail or be answered: the client's time-out is 60."""


@dataclass
class Traffic:
    """``with Traffic(address, model) as traffic: ...``; then read ``failed``, ``outage`` and ``longest``.

    ``address`` gives the base URL, and is asked again after a failure, as a client asks DNS: a Service that was
    deleted and made anew has another ClusterIP.
    """

    address: Callable[[], str]
    model: str
    concurrency: int = 2
    tokens: int = 8
    timeout: float = 60.0
    pause: float = 0.05
    requests: list[Request] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join(self.timeout + 10)

    async def _all(self) -> None:
        limit = aiohttp.ClientTimeout(total=self.timeout)
        async with aiohttp.ClientSession(timeout=limit) as session:
            await asyncio.gather(*(self._one_after_another(session) for _ in range(self.concurrency)))

    async def _one_after_another(self, session: aiohttp.ClientSession) -> None:
        url, served = "", False
        while not self._stop.is_set():
            if not served:
                with suppress(Refused, subprocess.TimeoutExpired):  # no Service, or no answer, at the moment
                    url = await asyncio.to_thread(self.address)
            if url:
                request = await ask(session, url, self.model, self.tokens)
                self.requests.append(request)
                served = request.ok
            await asyncio.sleep(self.pause if served else 0.5)

    @property
    def failed(self) -> list[Request]:
        """Requests that did not end with a whole answer."""
        return [request for request in self.requests if not request.ok]

    @property
    def longest(self) -> float:
        """Seconds of the longest request: the longest hang."""
        return max((request.seconds for request in self.requests), default=0.0)

    @property
    def outage(self) -> float:
        """Longest time in seconds between the ends of two successive whole answers."""
        ends = sorted(request.ended for request in self.requests if request.ok)
        return max((b - a for a, b in pairwise(ends)), default=float("inf"))

    def details(self) -> tuple[str, ...]:
        """What failed requests were told, with how often, and how the longest request ended."""
        told = Counter(request.detail[:160] for request in self.failed).most_common(6)
        slowest = max(self.requests, key=lambda request: request.seconds)
        return (
            *(f"{count} x {detail}" for detail, count in told),
            f"longest: {slowest.seconds:.1f} s: {'answered' if slowest.ok else slowest.detail[:160]}",
        )

    def answered_since(self, moment: float) -> bool:
        """Whether a request that was sent after ``moment`` was answered whole."""
        return any(request.ok and request.started > moment for request in self.requests)
