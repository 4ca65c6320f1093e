"""Latency as the client sees it, taken in Serve's HTTP proxy (plain ASGI), where requests enter and leave.

The clock starts when the request's headers are read and looks at each piece of the response as it goes to the
socket. Taken one station further in, at the ingress replica, time to first token was 18 ms too short on two busy
cores: the proxy's hops, which are the coordinator's share of the latency and must not be hidden.
"""

import json
import time
from collections.abc import Callable
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rayspan_serving import stream
from rayspan_serving.routes import POSTS

MEASURED = tuple(POSTS.values())
REPLICA_HEADER = b"x-rayspan-replica"
"""In a response: the replica that served, as the ingress says. In the operator's probe: the one that is meant."""


class Recorder(Protocol):
    """What the clock tells; `meter.Meter` is the real one."""

    def began(self) -> None: ...
    def first_token(self, seconds: float) -> None: ...
    def inter_token(self, seconds: float) -> None: ...
    def ended(self, outcome: str, seconds: float, tokens: int, replica: str) -> None: ...
    def sent(self, seconds: float) -> None: ...


class Clock:
    """Measures what passes; `ours` tells the operator's own requests, which must not colour the figures."""

    def __init__(
        self,
        app: ASGIApp,
        recorder: Callable[[], Recorder],
        ours: Callable[[Scope], bool] = lambda scope: False,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.app = app
        self._recorder = recorder()
        self._ours = ours
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not measured(scope) or self._ours(scope):
            await self.app(scope, receive, send)
            return
        request = Request(self._recorder, self._now, send)
        failed = False
        try:
            await self.app(scope, receive, request.send)
        except Exception:
            failed = True
            raise
        finally:
            request.end(failed)


class Request:
    """One request's times and counts, gathered from the messages of its response."""

    def __init__(self, recorder: Recorder, now: Callable[[], float], send: Send) -> None:
        self._recorder, self._now, self._send = recorder, now, send
        self._began = now()
        self._last_output: float | None = None
        self._status = 0
        self._streaming = self._finished = self._error = False
        self._events = 0
        self._usage: int | None = None
        self._replica = ""
        self._sending = 0.0
        recorder.began()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._streaming = response_header(message, b"content-type").startswith(b"text/event-stream")
            self._replica = response_header(message, REPLICA_HEADER).decode("latin-1")
        elif message["type"] == "http.response.body":
            self._body(message.get("body", b""))
            self._finished = not message.get("more_body", False)
        began = self._now()
        await self._send(message)
        self._sending += self._now() - began

    def _body(self, body: bytes) -> None:
        if not body or self._status >= 400:
            return
        if not self._streaming:
            self._usage = usage(body)
            return
        found = stream.chunk(body)
        self._error = self._error or found.error
        self._usage = found.output_tokens if found.output_tokens is not None else self._usage
        if found.generated:
            self._events += found.generated
            now = self._now()
            if self._last_output is None:
                self._recorder.first_token(now - self._began)
            else:
                self._recorder.inter_token(now - self._last_output)
            self._last_output = now

    def end(self, failed: bool) -> None:
        outcome = self._outcome(failed)
        tokens = self._usage if self._usage is not None else self._events
        self._recorder.ended(outcome, self._now() - self._began, tokens, self._replica)
        self._recorder.sent(self._sending)

    def _outcome(self, failed: bool) -> str:
        if failed or self._error or self._status >= 500 or self._status == 408:
            return "error"
        if self._status >= 400:
            return "rejected"
        return "ok" if self._finished else "cancelled"


def measured(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith(MEASURED)


def response_header(start: Message, name: bytes) -> bytes:
    return next((bytes(value) for key, value in start.get("headers", []) if key.lower() == name), b"")


def usage(body: bytes) -> int | None:
    """`usage.completion_tokens` of a whole response."""
    if b'"completion_tokens"' not in body:
        return None
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return stream.output_tokens(answer) if isinstance(answer, dict) else None
