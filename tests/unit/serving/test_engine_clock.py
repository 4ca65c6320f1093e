"""The clock around the engine: waiting for it, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest
from rayspan_serving.engine_clock import timed

ROLE = 'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n'
WORD = 'data: {"choices": [{"delta": {"content": "word"}}]}\n\n'
BROKEN = 'data: {"error": {"message": "EngineCore encountered an issue", "code": 500}}\n\n'


class Recorder:
    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []

    def first_token(self, seconds: float) -> None:
        self.told.append(("first", seconds))

    def ended(self, seconds: float) -> None:
        self.told.append(("ended", seconds))


class Engine:
    """Pieces, each after so many seconds of a clock of its own."""

    def __init__(self, *pieces: tuple[float, Any]) -> None:
        self.now, self.closed, self._pieces = 0.0, False, pieces

    async def stream(self) -> AsyncGenerator[Any, None]:
        try:
            for seconds, piece in self._pieces:
                self.now += seconds
                yield piece
            self.now += 0.25
        finally:
            self.closed = True


async def taken(engine: Engine, pause: float = 0.0, pieces: int = 99) -> tuple[list[Any], Recorder]:
    """What a reader gets who takes so long over each piece, and leaves after so many."""
    recorder, got = Recorder(), []
    stream = timed(engine.stream(), recorder, lambda: engine.now)
    async for piece in stream:
        got.append(piece)
        engine.now += pause
        if len(got) == pieces:
            break
    await stream.aclose()
    return got, recorder


def test_a_stream_is_told_at_its_first_output_and_at_its_end() -> None:
    engine = Engine((1, [ROLE]), (2, [WORD]), (4, [WORD, WORD]), (0.5, ["data: [DONE]\n\n"]))
    got, recorder = asyncio.run(taken(engine))
    assert got == [[ROLE], [WORD], [WORD, WORD], ["data: [DONE]\n\n"]]
    assert recorder.told == [("first", 3), ("ended", 7.75)]


def test_a_slow_reader_is_no_slow_engine() -> None:
    _, recorder = asyncio.run(taken(Engine((1, [ROLE]), (2, [WORD])), pause=60))
    assert recorder.told == [("first", 3), ("ended", 3.25)]


def test_a_whole_answer_has_no_first_token() -> None:
    _, recorder = asyncio.run(taken(Engine((3, SimpleNamespace(choices=[])))))
    assert recorder.told == [("ended", 3.25)]


@pytest.mark.parametrize("error", [[BROKEN], [SimpleNamespace(error="no")], SimpleNamespace(error="no")])
def test_what_ends_in_an_error_is_no_answer(error: Any) -> None:
    _, recorder = asyncio.run(taken(Engine((1, [WORD]), (2, error))))
    assert recorder.told == [("first", 1)]


def test_a_reader_who_leaves_ends_the_engine_s_stream() -> None:
    engine = Engine((1, [WORD]), (2, [WORD]))
    _, recorder = asyncio.run(taken(engine, pieces=1))
    assert engine.closed
    assert recorder.told == [("first", 1)]
