"""Requests that wait for a place."""

from __future__ import annotations

import asyncio
from typing import Any

from rayspan_serving.turnstile import Turnstile


async def nothing() -> Any: ...


async def no_one(message: Any) -> None: ...


def test_as_many_as_the_limit_are_inside_and_the_next_comes_when_one_leaves() -> None:
    async def scene() -> list[int]:
        inside, most, doors = 0, [], [asyncio.Event() for _ in range(4)]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal inside
            inside += 1
            most.append(inside)
            await doors[scope["number"]].wait()
            inside -= 1

        limit = 2
        turnstile = Turnstile(app, lambda: limit)
        requests = [
            asyncio.create_task(turnstile({"number": number}, nothing, no_one)) for number in range(4)
        ]
        for _ in range(5):
            await asyncio.sleep(0)
        assert most == [1, 2]
        doors[0].set()
        await requests[0]
        for _ in range(5):
            await asyncio.sleep(0)
        assert most == [1, 2, 2]
        requests[1].cancel()  # its client left: its place is free again
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(most) == 4
        for door in doors:
            door.set()
        await asyncio.gather(*requests, return_exceptions=True)
        return most

    assert len(asyncio.run(scene())) == 4


def test_one_that_waits_and_leaves_takes_no_place() -> None:
    async def scene() -> int:
        came = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal came
            came += 1
            await scope["door"].wait()

        turnstile, door, open_door = Turnstile(app, lambda: 1), asyncio.Event(), asyncio.Event()
        open_door.set()
        first = asyncio.create_task(turnstile({"door": door}, nothing, no_one))
        await asyncio.sleep(0)
        second = asyncio.create_task(turnstile({"door": door}, nothing, no_one))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        door.set()
        await first
        await turnstile({"door": open_door}, nothing, no_one)
        return came

    assert asyncio.run(scene()) == 2
