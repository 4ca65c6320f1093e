"""The clock in the proxy: what it takes from the messages of a response."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from rayspan_serving.clock import Clock

SSE = [(b"content-type", b"text/event-stream"), (b"x-rayspan-replica", b"abc")]


class Recorder:
    """Writes down what the clock tells."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def began(self) -> None:
        self.told.append(("began",))

    def first_token(self, seconds: float) -> None:
        self.told.append(("first", seconds))

    def inter_token(self, seconds: float) -> None:
        self.told.append(("inter", seconds))

    def ended(self, outcome: str, seconds: float, tokens: int, replica: str) -> None:
        self.told.append(("ended", outcome, seconds, tokens, replica))

    def sent(self, seconds: float) -> None:
        self.sending = seconds


def event(content: str, **more: Any) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': {'content': content}}], **more})}\n\n".encode()


async def run(
    steps: list[tuple[float, dict[str, Any]]],
    path: str = "/v1/chat/completions",
    ours: Callable[[Any], bool] = lambda scope: False,
    fails: bool = False,
) -> list[tuple[Any, ...]]:
    """Have an application send the messages, each after so many seconds; returns what was recorded."""
    recorder, at = Recorder(), [100.0]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for seconds, message in steps:
            at[0] += seconds
            await send(message)
        if fails:
            raise RuntimeError("the connection broke")

    async def send(message: Any) -> None: ...

    async def receive() -> Any: ...

    clock = Clock(app, lambda: recorder, ours, now=lambda: at[0])
    await clock({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)
    return recorder.told


def start(status: int = 200, headers: list[tuple[bytes, bytes]] = SSE) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def test_a_stream_is_timed_from_arrival_to_its_last_byte_and_names_its_replica() -> None:
    told = await run(
        [
            (0.1, start()),
            (0.1, body(event(""))),
            (0.3, body(event("a"))),
            (0.05, body(event("b"))),
            (0.05, body(b"data: [DONE]\n\n", more=False)),
        ]
    )
    assert told[0] == ("began",)
    assert told[1] == ("first", pytest.approx(0.5))
    assert told[2] == ("inter", pytest.approx(0.05))
    assert told[3] == ("ended", "ok", pytest.approx(0.6), 2, "abc")


async def test_a_whole_answer_has_no_time_to_first_token_and_its_tokens_are_those_of_its_usage() -> None:
    answer = json.dumps({"usage": {"completion_tokens": 7}}).encode()
    told = await run([(1.0, start(headers=[])), (0.0, body(answer, more=False))])
    assert told[1:] == [("ended", "ok", pytest.approx(1.0), 7, "")]


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ([(0.1, start(503, [])), (0.0, body(b"{}", more=False))], "error"),
        ([(0.1, start(400, [])), (0.0, body(b"{}", more=False))], "rejected"),
        ([(0.1, start()), (0.1, body(event("a")))], "cancelled"),
        ([(0.1, start()), (0.1, body(b'data: {"error": {"code": 500}}\n\n', more=False))], "error"),
    ],
)
async def test_how_a_request_ended(steps: list[tuple[float, dict[str, Any]]], outcome: str) -> None:
    assert (await run(steps))[-1][:2] == ("ended", outcome)


async def test_other_routes_and_the_operators_own_completions_leave_no_trace() -> None:
    whole = [(0.1, start()), (0.1, body(event("a"), more=False))]
    assert await run(whole, path="/v1/models") == []
    assert await run(whole, ours=lambda scope: True) == []
