"""Who may ask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rayspan_serving.gate import Doorkeeper

CASES: dict[str, tuple[str | None, list[tuple[bytes, bytes]], int]] = {
    "without keys everybody may ask": (None, [], 200),
    "a key opens": ("k\n", [(b"authorization", b"Bearer k")], 200),
    "so does another one": ("k\nl\n", [(b"authorization", b"bearer  l")], 200),
    "a key that is none of them does not": ("k\nl\n", [(b"authorization", b"Bearer x")], 401),
    "another scheme does not": ("k", [(b"authorization", b"Basic k")], 401),
    "no key does not": ("k", [], 401),
    "an empty Secret opens to nobody": ("", [(b"authorization", b"Bearer ")], 401),
    "the operator's own completion needs no key": ("k", [(b"x-rayspan-probe", b"p")], 200),
    "a wrong probe token is no key": ("k", [(b"x-rayspan-probe", b"q")], 401),
}


async def asked(environment: dict[str, str], headers: list[tuple[bytes, bytes]]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any: ...

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
    await Doorkeeper(app, environment)(scope, receive, send)
    return sent


@pytest.mark.parametrize("sentence", CASES)
async def test_who_may_ask(sentence: str, tmp_path: Path) -> None:
    keys, headers, status = CASES[sentence]
    environment = {"RAYSPAN_PROBE_TOKEN": "p"}
    if keys is not None:
        (tmp_path / "keys").write_text(keys)
        environment["RAYSPAN_API_KEYS_FILE"] = str(tmp_path / "keys")
    assert (await asked(environment, headers))[0]["status"] == status


async def test_an_empty_probe_token_is_no_token(tmp_path: Path) -> None:
    environment = {"RAYSPAN_API_KEYS_FILE": str(tmp_path / "not-there")}
    assert (await asked(environment, [(b"x-rayspan-probe", b"")]))[0]["status"] == 401


async def test_a_refusal_says_how_to_ask_and_is_an_error_as_openai_has_it(tmp_path: Path) -> None:
    start, body = await asked({"RAYSPAN_API_KEYS_FILE": str(tmp_path / "keys")}, [])
    assert (b"www-authenticate", b"Bearer") in start["headers"]
    error = {
        "message": "Incorrect or missing API key.",
        "type": "invalid_api_key",
        "param": None,
        "code": 401,
    }
    assert json.loads(body["body"]) == {"error": error}
