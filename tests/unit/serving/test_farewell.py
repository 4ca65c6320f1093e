"""A pod that is going away closes each connection after its answer, and tells at once what it still has."""

from __future__ import annotations

from typing import Any

import pytest
from rayspan_serving.farewell import Farewell


async def receive() -> Any: ...


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

    await Farewell(app, lambda: leaving, lambda text: None)({"type": "http"}, receive, send)
    assert sent[0]["headers"] == headers
    assert sent[1]["body"] == b"x"


async def test_requests_are_told_from_the_mark_on_also_those_that_began_before_it_or_fail() -> None:
    told: list[str] = []
    leaving = False

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal leaving
        if scope["path"] == "/first":
            leaving = True
            await farewell({"type": "http", "path": "/second"}, receive, send)
        else:
            raise ConnectionError

    async def send(message: Any) -> None: ...

    farewell = Farewell(app, lambda: leaving, told.append)
    with pytest.raises(ConnectionError):
        await farewell({"type": "http", "path": "/first"}, receive, send)
    assert told == ["2", "1", "0"]


async def test_what_is_no_request_passes_and_a_full_disk_fails_none() -> None:
    passed: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(scope["type"])

    async def send(message: Any) -> None: ...

    def full(text: str) -> None:
        raise OSError(28, "No space left on device")

    for kind in ("lifespan", "http"):
        await Farewell(app, lambda: True, full)({"type": kind}, receive, send)
    assert passed == ["lifespan", "http"]
