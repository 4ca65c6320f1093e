"""Requests that nobody will answer."""

from __future__ import annotations

import asyncio
from typing import Any

from rayspan_serving.headless import Headless


async def asked(app: Any, head: bool) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any: ...

    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    middleware = Headless(app, lambda: head, patience=0.01)
    await asyncio.wait_for(middleware(scope, receive, send), 5)
    return sent


async def hangs(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(60)


async def begins_and_takes_its_time(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": b"late"})


async def answers_late(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0.1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"late"})


async def test_what_hangs_without_a_head_is_answered_503() -> None:
    start, _ = await asked(hangs, head=False)
    assert (start["status"], dict(start["headers"])[b"retry-after"]) == (503, b"5")


async def test_what_is_slow_with_a_head_is_waited_for() -> None:
    assert [message.get("body") for message in await asked(answers_late, head=True)] == [None, b"late"]


async def test_what_has_begun_is_left_alone() -> None:
    start, body = await asked(begins_and_takes_its_time, head=False)
    assert (start["status"], body["body"]) == (200, b"late")
