"""Wait for whichever comes first, and leave nothing running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

First = TypeVar("First")
Second = TypeVar("Second")


@asynccontextmanager
async def raced(
    one: Coroutine[Any, Any, First], other: Coroutine[Any, Any, Second]
) -> AsyncIterator[tuple[asyncio.Task[First], asyncio.Task[Second]]]:
    """Both as tasks, once one of them is done. When the block is left, in whatever way, both have ended."""
    tasks = asyncio.create_task(one), asyncio.create_task(other)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        yield tasks
    finally:
        await ended(tasks)


async def ended(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks; when this returns, all have ended, in whatever way."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
