"""The short way to a replica: what the client gets, and when Serve is asked instead.

The replicas are small HTTP servers of the test, which answer, refuse or break off as they are told.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from rayspan_serving import upstream
from rayspan_serving.balance import Target
from rayspan_serving.direct import Direct

PATH = "/v1/chat/completions"
EVENTS = [b'data: {"n": 1}\n\n', b'data: {"n": 2}\n\n', b"data: [DONE]\n\n"]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Scene:
    """A proxy with the short way in it, replicas, and Serve behind."""

    def __init__(self, *replicas: Handler) -> None:
        self.handlers = replicas
        self.targets: list[Target] = []
        self.sent: list[dict[str, Any]] = []
        self.served: list[bytes] = []
        self.counted: list[int] = []
        self.leaves = asyncio.Event()
        self._ongoing_requests = 0

    # As Serve's proxy under its middlewares.
    def _ongoing_requests_start(self) -> None:
        self._ongoing_requests += 1
        self.counted.append(self._ongoing_requests)

    def _ongoing_requests_end(self) -> None:
        self._ongoing_requests -= 1

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        if scope["type"] == "http":
            body = (await receive())["body"]
        self.served.append(body)
        await send({"type": "http.response.start", "status": 203, "headers": []})
        await send({"type": "http.response.body", "body": b"by Serve"})

    async def ask(
        self,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        path: str = PATH,
        ours: bool = False,
    ) -> None:
        runners = []
        for number, handler in enumerate(self.handlers):
            app = web.Application()
            app.router.add_route("*", "/{rest:.*}", handler)
            runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            runners.append(runner)
            self.targets.append(Target(f"r{number}", site.name))
        middleware = Direct(self, lambda: self.targets, lambda scope: ours)
        middleware._balance._chance = iter((0.9, 0.5, 0.1)).__next__  # r0 first
        scope = {
            "type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers,
        }  # fmt: skip
        pieces = iter([b'{"model"', b': "tiny"}'])

        async def receive() -> Any:
            if (piece := next(pieces, None)) is not None:
                return {"type": "http.request", "body": piece, "more_body": piece.startswith(b"{")}
            await self.leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.sent.append(message)

        try:
            await asyncio.wait_for(middleware(scope, receive, send), 10)
        finally:
            if middleware._session:
                await middleware._session.close()
            for runner in runners:
                await runner.cleanup()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent[1:] if message["body"]]


async def streams(request: web.Request) -> web.StreamResponse:
    assert await request.json() == {"model": "tiny"}
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "x-rayspan-replica": "r0"})
    await answer.prepare(request)
    for event in EVENTS:
        await answer.write(event)
        await asyncio.sleep(0.01)
    return answer


async def breaks_off(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    await answer.write(EVENTS[0])
    await asyncio.sleep(0.05)
    assert request.transport is not None
    request.transport.abort()
    return answer


async def dies(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def answers(request: web.Request) -> web.StreamResponse:
    return web.json_response({"id": request.headers["x-request-id"], "path": request.path_qs})


async def has_no_room(request: web.Request) -> web.StreamResponse:
    return web.json_response({"error": {}}, status=503)


async def refuses(request: web.Request) -> web.StreamResponse:
    return web.json_response({"error": {"message": "wrong"}}, status=400)


def played(*replicas: Handler, **how: Any) -> Scene:
    async def play() -> Scene:
        scene = Scene(*replicas)
        await scene.ask(**how)
        return scene

    return asyncio.run(play())


def test_a_stream_comes_through_piece_by_piece() -> None:
    scene = played(streams)
    assert (scene.status, scene.bodies) == (200, EVENTS)
    assert scene.headers[b"x-rayspan-replica"] == b"r0"
    assert not scene.headers.keys() & {b"transfer-encoding", b"connection", b"date", b"server"}
    assert not scene.served


def test_an_answer_in_one_piece_keeps_its_length_and_is_named() -> None:
    scene = played(answers, headers=((b"host", b"elsewhere"), (b"x-request-id", b"mine")))
    assert json.loads(scene.bodies[0]) == {"id": "mine", "path": PATH}
    assert scene.headers[b"content-length"] == str(len(scene.bodies[0])).encode()
    assert scene.headers[b"x-request-id"] == b"mine"


def test_a_request_without_an_id_gets_one_that_the_client_is_told() -> None:
    scene = played(answers)
    assert json.loads(scene.bodies[0])["id"].encode() == scene.headers[b"x-request-id"] != b""


def test_serve_knows_of_the_request_while_it_is_under_way() -> None:
    scene = played(streams)
    assert (scene.counted, scene._ongoing_requests) == ([1], 0)


def test_a_refusal_is_handed_on_and_asked_of_nobody_else() -> None:
    scene = played(refuses, answers)
    assert (scene.status, json.loads(scene.bodies[0])["error"]["message"]) == (400, "wrong")


FALLS_BACK: dict[str, tuple[Handler, ...]] = {
    "no replica known": (),
    "lost before it answered": (dies,),
    "both lost before they answered": (dies, dies),
    "no room": (has_no_room,),
}


@pytest.mark.parametrize("replicas", FALLS_BACK.values(), ids=FALLS_BACK.keys())
def test_serve_is_asked_where_no_replica_brings_an_answer(replicas: tuple[Handler, ...]) -> None:
    scene = played(*replicas)
    assert (scene.status, scene.bodies) == (203, [b"by Serve"])
    if replicas:
        assert scene.served == [b'{"model": "tiny"}']


def test_another_replica_is_asked_first() -> None:
    scene = played(dies, answers)
    assert scene.status == 200
    assert not scene.served


def test_a_stream_that_breaks_ends_with_an_error() -> None:
    scene = played(breaks_off, answers)
    assert scene.bodies[0] == EVENTS[0]
    error = json.loads(scene.bodies[1].split(b"\n\n")[0].removeprefix(b"data: "))["error"]
    assert (error["code"], error["type"]) == (503, "service_unavailable")
    assert scene.bodies[1].endswith(b"data: [DONE]\n\n")
    assert not scene.sent[-1].get("more_body")


def test_when_the_client_leaves_the_replica_is_told() -> None:
    told: list[str] = []

    async def play() -> Scene:
        async def slow(request: web.Request) -> web.StreamResponse:
            scene.leaves.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told.append("cancelled")
                raise
            return web.Response()

        scene = Scene(slow)
        scene.handlers = (slow,)
        task = asyncio.create_task(scene.ask())
        await task
        return scene

    scene = asyncio.run(play())
    assert (scene.sent, scene.served, told) == ([], [], ["cancelled"])


def test_the_operators_probe_reaches_the_replica_that_it_names_and_no_other() -> None:
    meant = ((b"x-rayspan-replica", b"r1"),)
    assert played(refuses, answers, headers=meant, ours=True).status == 200
    assert played(answers, headers=meant, ours=True).served, "r1 is not there: Serve finds out"
    assert played(answers, headers=meant).status == 200, "somebody else's wish is nobody's"


def test_what_is_not_measured_is_serves() -> None:
    assert played(answers, path="/v1/models").served


def test_a_socket_that_is_silent_asks_whether_anybody_is_there() -> None:
    made = upstream.attentive((2, 1, 6, "", ("127.0.0.1", 0)))
    with made:
        assert made.getsockopt(1, 9) == 1  # SOL_SOCKET, SO_KEEPALIVE
