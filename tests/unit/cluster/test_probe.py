"""One completion, asked of a real HTTP server on this machine, and what is made of each answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from rayspan.cluster import probe
from rayspan.report.observed import CompletionView

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ANSWER = {"choices": [{"text": "x"}]}


async def ask(port: int) -> CompletionView:
    async with aiohttp.ClientSession() as session:
        return await probe.complete(
            session, "127.0.0.1", "r0", port=port, model="m", token="t", timeout_seconds=0.5, clock=time.time
        )


async def asked(handler: Handler) -> CompletionView:
    app = web.Application()
    app.router.add_post("/v1/{tail:.*}", handler)
    async with TestServer(app) as server:
        assert server.port is not None
        return await ask(server.port)


async def answers(request: web.Request) -> web.StreamResponse:
    wanted, body = request.headers["x-rayspan-replica"], await request.json()
    assert (request.headers["x-rayspan-probe"], wanted, body["max_tokens"]) == ("t", "r0", 1)
    return web.json_response(ANSWER, headers={"x-rayspan-replica": "r1"})


async def knows_no_chat(request: web.Request) -> web.StreamResponse:
    if request.path.endswith("/chat/completions"):
        return web.json_response({"error": "no chat template"}, status=400)
    return web.json_response(ANSWER)


async def is_stuck(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(5)
    return web.json_response(ANSWER)


async def fails(request: web.Request) -> web.StreamResponse:
    return web.Response(status=503, text="no replica")


async def says_something_else(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>")


CASES: dict[str, tuple[Handler, bool, str | None, str]] = {
    "it answers and says who": (answers, True, "r1", "answered"),
    "a model without a chat template is asked for plain text": (knows_no_chat, True, None, "answered"),
    "an engine is stuck": (is_stuck, False, None, "no answer within 0.5 s"),
    "there is no replica": (fails, False, None, "HTTP 503: no replica"),
    "something else answers": (says_something_else, False, None, "HTTP 502: <html>"),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_completion(case: str) -> None:
    handler, ok, replica, words = CASES[case]
    view = await asked(handler)
    assert (view.ok, view.replica, view.detail) == (ok, replica, f"One token was asked for: {words}")
    assert view.reached


async def test_a_pod_that_takes_no_connection_is_told_from_one_that_does_not_answer() -> None:
    view = await ask(unused_port())
    assert not view.ok
    assert not view.reached
