"""One loop per LLMDeployment: a pass, then a pause that events cut short.

Events carry nothing but the name of who should look: any number of missed, doubled or reordered ones is
harmless, and those that come together make one pass. A loop is a plain task, started by the first event and
ended when a pass finds its object gone. It is no kopf daemon, because kopf puts a finalizer on every object
with a daemon, and a finalizer makes deletion wait for an operator that may be down or uninstalled
(docs/decisions/0001-loops-without-finalizers.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Final

from rayspan.errors import RayspanError
from rayspan.racing import ended
from rayspan.telemetry import Telemetry

Key = tuple[str, str]
"""Namespace and name."""
Pass = Callable[[Key, bool, asyncio.Event], Awaitable[float | None]]
"""One pass, whether an event asked for it, and what is set when the LLMDeployment is edited meanwhile: seconds until the
next look, or None when the object is gone."""

log = logging.getLogger("rayspan.wakeups")

SPACING_SECONDS: Final = 0.3
"""Least time from the start of a pass that events asked for to the next, so that a burst of them makes one pass."""
STUMBLE_SECONDS: Final = 10.0
"""Pause after a pass that raised: a cluster that does not answer, or a bug, which is logged with its traceback."""
AT_ONCE: Final = 64
"""Passes at the same time that events asked for, and as many that none did: looks at pods that are stuck, of 15 s at
worst, do not keep an edit waiting."""


@dataclass
class _News:
    """What there is to look at for one deployment."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by any event."""
    edited: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by another version."""
    version: object = None
    """The last one."""


class Wakeups:
    """The loops of all LLMDeployments."""

    def __init__(self, one_pass: Pass, telemetry: Telemetry) -> None:
        self._pass = one_pass
        self._telemetry = telemetry
        self._at_once = {news: asyncio.Semaphore(AT_ONCE) for news in (True, False)}
        self._news: dict[Key, _News] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._stopped = False

    def wake(self, namespace: str | None, name: str | None, version: object = None) -> None:
        """Have a deployment looked at soon. With a version: only if it is another than the last one."""
        if not namespace or not name or self._stopped:
            return
        key = (namespace, name)
        news = self._news.setdefault(key, _News())
        if version is not None:
            if news.version == version:
                return
            news.version = version
            news.edited.set()
        news.event.set()
        if key not in self._tasks:
            # In a context of its own: kopf keeps the event that it handles in the current one, and that would last as long.
            self._tasks[key] = asyncio.create_task(
                self._loop(key), name=f"{namespace}/{name}", context=Context()
            )

    def begin(self, namespace: str, name: str) -> None:
        """Have a deployment looked at that no event told of; one that has a loop looks by itself."""
        if (namespace, name) not in self._tasks:
            self.wake(namespace, name)

    async def stop(self) -> None:
        """End all loops, wherever they are, and begin none any more: the next start begins afresh."""
        self._stopped = True
        await ended(list(self._tasks.values()))

    async def _loop(self, key: Key) -> None:
        event, edited = self._news[key].event, self._news[key].edited
        clock = asyncio.get_running_loop().time
        self._telemetry.looping(key, True)
        try:
            while True:
                news = event.is_set()
                event.clear()
                edited.clear()
                started = clock()
                pause = await self._guarded(key, news, edited)
                if pause is None:
                    if not event.is_set():
                        return
                    pause = 0.0
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await event.wait()
                if news:
                    await asyncio.sleep(max(0.0, started + SPACING_SECONDS - clock()))
        finally:
            self._news.pop(key, None)
            self._tasks.pop(key, None)
            self._telemetry.looping(key, False)

    async def _guarded(self, key: Key, news: bool, edited: asyncio.Event) -> float | None:
        async with self._at_once[news]:
            with self._telemetry.passing(key) as outcome:
                try:
                    pause = await self._pass(key, news, edited)
                except RayspanError as error:
                    log.warning("%s/%s: the pass was broken off: %s", *key, error)
                    outcome.failed()
                    return STUMBLE_SECONDS
                except Exception:
                    log.exception("%s/%s: the pass failed", *key)
                    outcome.failed()
                    return STUMBLE_SECONDS
            if pause is None:
                self._telemetry.forget(key)
            return pause
