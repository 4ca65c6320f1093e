"""How long requests wait for their engine, taken in the replica that holds it.

What a client waits beyond that is the serving path's: proxy, ingress, router and the hops between them. Only the
waiting for the next piece is counted, so that a path that is slow to take pieces is not taken for a slow engine.
"""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Protocol

from rayspan_serving import stream

_END = object()


class Recorder(Protocol):
    """What the clock tells; `meter.EngineMeter` is the real one."""

    def first_token(self, seconds: float) -> None: ...
    def ended(self, seconds: float) -> None: ...


async def timed(
    pieces: AsyncGenerator[Any, None], recorder: Recorder, now: Callable[[], float] = time.perf_counter
) -> AsyncGenerator[Any, None]:
    """The same pieces; the recorder is told of the first that carries output, in a stream, and of the end, unless
    an error came before it."""
    waited, output, failed = 0.0, False, False
    async with aclosing(pieces):
        while True:
            asked = now()
            piece = await anext(pieces, _END)
            waited += now() - asked
            if piece is _END:
                break
            for part in piece if isinstance(piece, list) else [piece]:
                failed = failed or is_error(part)
                if not output and isinstance(part, str) and stream.chunk(part).generated:
                    output = True
                    recorder.first_token(waited)
            yield piece
    if not failed:
        recorder.ended(waited)


def is_error(part: Any) -> bool:
    """Whether it is Ray's ErrorResponse, or vLLM's event of one."""
    return part.startswith('data: {"error"') if isinstance(part, str) else bool(getattr(part, "error", None))
