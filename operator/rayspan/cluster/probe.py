"""One completion of one token through the serving path: the only proof that it serves.

Neither ``/v1/models``, nor Serve's status, nor the RayService's conditions notice an engine whose stage died
under load; a completion does (see the failures in docs/architecture.md). The header lets rayspan_serving tell
the probe from users: it needs no API key and is left out of the latencies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import aiohttp

from rayspan.report.observed import CompletionView

HEADER: Final = "x-rayspan-probe"
REPLICA_HEADER: Final = "x-rayspan-replica"
"""In the request: the replica that is meant. In the answer: the one that gave it."""
CONNECT_SECONDS: Final = 3.0
"""What a connection may take, to tell a pod that is gone from a replica that is stuck."""
_WORDS: Final = 300
"""Characters kept of an answer that is none."""


async def complete(
    session: aiohttp.ClientSession,
    host: str,
    replica: str,
    *,
    port: int,
    model: str,
    token: str,
    timeout_seconds: float,
    clock: Callable[[], float],
) -> CompletionView:
    """Ask a replica for one token by way of a pod or the Service; chat first, plain completion for a model
    without a chat template."""
    common: dict[str, Any] = {"model": model, "max_tokens": 1, "temperature": 0}
    chat = common | {"messages": [{"role": "user", "content": "Hi"}]}
    plain = common | {"prompt": "Hi"}
    started = clock()
    headers = {HEADER: token, REPLICA_HEADER: replica}
    status, words, by, reached = 0, "", None, True
    try:
        async with asyncio.timeout(timeout_seconds):
            for path, body in (("/v1/chat/completions", chat), ("/v1/completions", plain)):
                status, words, by = await _ask(session, f"http://{host}:{port}{path}", body, headers)
                if status not in (400, 404):
                    break
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        status, words, reached = 0, str(error), False
    except TimeoutError:
        status, words = 0, f"no answer within {timeout_seconds:g} s"
    except (aiohttp.ClientError, OSError) as error:
        status, words = 0, str(error) or type(error).__name__
    ok = status == 200
    detail = f"HTTP {status}: {words}" if status and not ok else words
    return CompletionView(
        ok=ok,
        at=started,
        seconds=clock() - started,
        # Ways in are taken in turn: with its name in it the message would never be the same twice.
        detail=f"One token was asked for: {'answered' if ok else detail}",
        replica=by,
        reached=reached,
    )


async def _ask(
    session: aiohttp.ClientSession, url: str, body: dict[str, Any], headers: dict[str, str]
) -> tuple[int, str, str | None]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    async with session.post(url, json=body, headers=headers, timeout=timeout) as response:
        text = await response.text(errors="replace")
        status = 502 if response.status == 200 and '"choices"' not in text else response.status
        return status, text[:_WORDS], response.headers.get(REPLICA_HEADER) or None
