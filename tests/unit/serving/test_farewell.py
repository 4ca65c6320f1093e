"""A pod that is going away closes each connection after its answer."""

from __future__ import annotations

from typing import Any

import pytest
from rayspan_serving.farewell import Farewell


@pytest.mark.parametrize(
    ("leaving", "headers"),
    [(False, [(b"a", b"b")]), (True, [(b"a", b"b"), (b"connection", b"close")])],
)
async def test_connections_are_closed_only_while_leaving(
    leaving: bool, headers: list[tuple[bytes, bytes]]
) -> None:
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any: ...

    await Farewell(app, lambda: leaving)({"type": "http"}, receive, send)
    assert sent[0]["headers"] == headers
    assert sent[1]["body"] == b"x"
