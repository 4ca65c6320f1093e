"""While no application is up a client hears 503 and when to come again; every other answer passes as it is."""

from __future__ import annotations

from typing import Any

import pytest
from rayspan_serving.unrouted import Unrouted

PLAIN, JSON = b"text/plain; charset=utf-8", b"application/json"


async def receive() -> Any: ...


async def answered(status: int, content_type: bytes, *pieces: bytes) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", content_type)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": piece != pieces[-1]})

    async def send(message: Any) -> None:
        sent.append(message)

    await Unrouted(app)({"type": "http"}, receive, send)
    return sent


async def test_serve_s_own_404_becomes_503() -> None:
    start, body = await answered(404, PLAIN, b"Path '/v1/chat/completions' not found. ", b"Ping ...")
    assert start["status"] == 503
    assert (b"retry-after", b"5") in start["headers"]
    assert b"being replaced" in body["body"]


@pytest.mark.parametrize(("status", "content_type"), [(404, JSON), (200, PLAIN), (503, PLAIN)])
async def test_everything_else_passes(status: int, content_type: bytes) -> None:
    start, *bodies = await answered(status, content_type, b"a", b"b")
    assert (start["status"], [body["body"] for body in bodies]) == (status, [b"a", b"b"])
