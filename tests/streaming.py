"""One streaming chat completion as a client sees it, by the client's own clock."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True)
class Request:
    """One request, by this client's clock (seconds, monotonic)."""

    started: float
    ended: float
    ok: bool
    detail: str
    first_token: float | None = None
    tokens_at: tuple[float, ...] = ()

    @property
    def seconds(self) -> float:
        """From sending to the last byte, or to the error."""
        return self.ended - self.started


async def ask(session: aiohttp.ClientSession, url: str, model: str, tokens: int) -> Request:
    """One streaming chat completion of exactly ``tokens`` tokens; never raises."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "hello there"}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
    }
    started = time.monotonic()
    stamps: list[float] = []
    try:
        async with session.post(f"{url}/chat/completions", json=body) as response:
            if response.status != 200:
                text = (await response.text())[:200]
                return Request(started, time.monotonic(), False, f"{response.status}: {text}")
            done = False
            async for line in response.content:
                text = line.decode().strip()
                if text == "data: [DONE]":
                    done = True
                elif text.startswith("data: "):
                    event = json.loads(text[6:])
                    if "error" in event:
                        return Request(started, time.monotonic(), False, f"in the stream: {event['error']}")
                    choices = event.get("choices") or [{}]
                    if (choices[0].get("delta") or {}).get("content"):
                        stamps.append(time.monotonic())
            first = stamps[0] if stamps else None
            return Request(started, time.monotonic(), done, "" if done else "cut off", first, tuple(stamps))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return Request(started, time.monotonic(), False, f"{type(error).__name__}: {error}")
