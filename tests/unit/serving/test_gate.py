"""Who may ask."""

from __future__ import annotations

from typing import Any

import pytest
from rayspan_serving.gate import Doorkeeper

CASES: dict[str, tuple[dict[str, str], list[tuple[bytes, bytes]], int]] = {
    "without a key everybody may ask": ({}, [], 200),
    "the key opens": ({"RAYSPAN_API_KEY": "k"}, [(b"authorization", b"Bearer k")], 200),
    "a key from a file that ends with a newline opens": (
        {"RAYSPAN_API_KEY": "k\n"},
        [(b"authorization", b"Bearer k")],
        200,
    ),
    "another key does not": ({"RAYSPAN_API_KEY": "k"}, [(b"authorization", b"Bearer x")], 401),
    "no key does not": ({"RAYSPAN_API_KEY": "k"}, [], 401),
    "an empty key in the Secret opens to nobody": (
        {"RAYSPAN_API_KEY": ""},
        [(b"authorization", b"Bearer ")],
        401,
    ),
    "the operator's own completion needs no key": (
        {"RAYSPAN_API_KEY": "k", "RAYSPAN_PROBE_TOKEN": "p"},
        [(b"x-rayspan-probe", b"p")],
        200,
    ),
    "an empty probe token is no token": ({"RAYSPAN_API_KEY": "k"}, [(b"x-rayspan-probe", b"")], 401),
}


@pytest.mark.parametrize("sentence", CASES)
async def test_who_may_ask(sentence: str) -> None:
    environment, headers, status = CASES[sentence]
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any: ...

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
    await Doorkeeper(app, environment)(scope, receive, send)
    assert sent[0]["status"] == status
