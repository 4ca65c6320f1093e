"""A proxy between one operator and its API server. It counts requests, and a fault breaks them.

Plain HTTP towards the operator and TLS towards the API server: what is broken is broken between two requests' ends,
above TLS. A request whose operator goes away is dropped, as by an API server.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, MultiMapping

from tests.matrix.told import Told

_NOT_PASSED_ON = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})


class Cut(Exception):
    """The connection breaks here."""


@dataclass(frozen=True)
class Call:
    """One request."""

    verb: str
    """``GET``, ``LIST``, ``WATCH`` or the method of a write."""
    plural: str
    """The kind, ``discovery`` for none, with its subresource."""
    url: str
    write: int = 0
    """Which one of the writes since the fault was armed, from 1; 0: it is a read."""
    options: str = ""
    """Names of its query parameters, which tell two lists of a kind apart."""

    @property
    def route(self) -> str:
        """What is asked, without the names of objects."""
        return f"{self.verb} {self.plural}{self.options}"


@dataclass(frozen=True)
class Answer:
    """One answer, whole."""

    status: int
    headers: CIMultiDict[str]
    body: bytes


class Fault:
    """Nothing goes wrong. Faults override what they break."""

    def __init__(self) -> None:
        self.struck = asyncio.Event()
        self.struck_at = 0.0
        """When it struck first, by the monotonic clock."""

    def strike(self) -> None:
        """Note that it struck."""
        self.struck_at = self.struck_at or time.monotonic()
        self.struck.set()

    async def before(self, call: Call) -> Answer | None:
        """What is answered without the API server; None: pass it on. Raises Cut."""
        return None

    async def after(self, call: Call, answer: Answer, remembered: Answer | None) -> Answer:
        """What is answered in place of an answer; remembered: of this URL, before the fault was armed. Raises Cut."""
        return answer

    def events(self, call: Call, line: bytes) -> tuple[tuple[float, bytes], ...]:
        """What is sent in place of one watch event, no bookmark, and how many seconds late. Raises Cut."""
        return ((0.0, line),)


@dataclass
class Proxy:
    """The proxy of one operator."""

    upstream: aiohttp.ClientSession
    """A session with the API server as its base."""
    port: int
    fault: Fault = field(default_factory=Fault)
    writes: list[str] = field(default_factory=list)
    """Routes of the writes since the fault was armed."""
    routes: dict[str, None] = field(default_factory=dict)
    """Routes of the reads since the fault was armed, in order."""
    watched: dict[str, None] = field(default_factory=dict)
    """Kinds of which there were watch events since the fault was armed."""
    looks: int = 0
    """Reads of LLMDeployments, in all."""
    wrote_at: float = 0.0
    told: Told = field(default_factory=Told)

    def __post_init__(self) -> None:
        self._remembered: dict[str, Answer] = {}
        self._armed = False
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A request whose client is gone is cancelled, so that an answer that never comes does not stay.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)

    async def start(self) -> None:
        """Listen."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        """End."""
        await self._runner.cleanup()

    def arm(self, fault: Fault) -> None:
        """From here on writes are counted, and the fault may strike."""
        self.fault, self._armed = fault, True
        self.writes.clear()
        self.routes.clear()
        self.watched.clear()

    def disarm(self) -> None:
        """Nothing goes wrong any more, and what is read is remembered."""
        self.fault, self._armed = Fault(), False

    def quiet(self, seconds: float) -> bool:
        """Whether the operator wrote nothing for some time."""
        return time.monotonic() - self.wrote_at > seconds

    def _call(self, request: web.Request) -> Call:
        parts = request.path.strip("/").split("/")
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if rest[:1] == ["namespaces"] and len(rest) > 2:
            rest = rest[2:]
        plural = "/".join((rest[0], *rest[2:])) if rest else "discovery"
        if request.method != "GET":
            self.writes.append(f"{request.method} {plural}")
            return Call(request.method, plural, request.path_qs, len(self.writes))
        if request.query.get("watch") == "true":
            return Call("WATCH", plural, request.path_qs)
        verb = "GET" if len(rest) != 1 else "LIST"
        options = "".join(f" by {one[:-8]}" for one in sorted(request.query) if one.endswith("Selector"))
        call = Call(verb, plural, request.path_qs, options=options)
        self.looks += plural == "llmdeployments"
        self.routes[call.route] = None
        return call

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request)
        body = await request.read()
        try:
            if call.verb == "WATCH":
                return await self._watch(request, call)
            try:
                answer = await self.fault.before(call) or await self._passed_on(request, body)
                if call.verb in ("GET", "LIST") and not self._armed:
                    self._remembered[call.url] = answer
                if call.write and answer.status < 300:
                    self.told.note(call.plural, json.loads(answer.body))
                answer = await self.fault.after(call, answer, self._remembered.get(call.url))
            finally:
                if call.write:
                    self.wrote_at = time.monotonic()
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        except (Cut, aiohttp.ClientError, OSError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=502)

    async def _passed_on(self, request: web.Request, body: bytes) -> Answer:
        async with self.upstream.request(
            request.method, request.rel_url, headers=_headers(request.headers), data=body or None
        ) as response:
            return Answer(response.status, _headers(response.headers), await response.read())

    def _sent(self, call: Call, line: bytes) -> tuple[tuple[float, bytes], ...]:
        if line.startswith(b'{"type":"BOOKMARK"'):
            return ((0.0, line),)
        self.watched[call.plural] = None
        return self.fault.events(call, line)

    async def _watch(self, request: web.Request, call: Call) -> web.StreamResponse:
        if instead := await self.fault.before(call):
            return web.Response(status=instead.status, headers=instead.headers, body=instead.body)
        async with self.upstream.get(request.rel_url, headers=_headers(request.headers)) as response:
            stream = web.StreamResponse(status=response.status, headers=_headers(response.headers))
            await stream.prepare(request)
            late: set[asyncio.Task[None]] = set()
            try:
                async for line in _lines(response.content):
                    for seconds, one in self._sent(call, line):
                        if seconds:
                            late.add(asyncio.create_task(_write_late(stream, one, seconds)))
                        else:
                            await stream.write(one)
            finally:
                for task in late:
                    task.cancel()
            return stream


async def _write_late(stream: web.StreamResponse, line: bytes, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await stream.write(line)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length, with their ends."""
    rest = b""
    async for piece in content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"


def _headers(headers: MultiMapping[str]) -> CIMultiDict[str]:
    kept = CIMultiDict[str]()
    for name, value in headers.items():
        if name.lower() not in _NOT_PASSED_ON:
            kept.add(name, value)
    return kept
