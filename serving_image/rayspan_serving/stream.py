"""What a chunk of an OpenAI-style event stream carries. Pure.

One chunk may hold several server-sent events, and an event several tokens: vLLM sends one event per engine
output, merges outputs when the reader lags, and holds text back while a character is incomplete. How many tokens
an event holds is not in it unless the client asked for token ids or running usage. So what is counted here is
what a client can see: events that carry something generated.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

GENERATED = ("content", "reasoning", "reasoning_content", "tool_calls", "function_call", "refusal", "audio")
"""Fields of a chat chunk's delta that hold generated text or calls. `role` is no token."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one piece of a response body holds, over all of its events."""

    generated: int = 0
    """Events that carry something generated."""
    output_tokens: int | None = None
    """`usage.completion_tokens` of the last event that has it."""
    error: bool = False
    error_code: int | None = None
    """The HTTP status that the error event names, if any."""


def chunk(body: bytes | str) -> Chunk:
    """Classify a piece of an event stream; pieces are whole events, as Serve LLM sends them."""
    generated, tokens, error, code = 0, None, False, None
    for event in events(body):
        if "error" in event:
            error = True
            code = error_code(event)
        elif carries_output(event):
            generated += 1
        found = output_tokens(event)
        tokens = found if found is not None else tokens
    return Chunk(generated, tokens, error, code)


def events(body: bytes | str) -> Iterator[dict[str, Any]]:
    """The JSON objects of the `data:` lines; `[DONE]` and what is no JSON object are left out."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    for line in text.splitlines():
        if not line.startswith("data:"):
            continue
        try:
            event = json.loads(line[5:])
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def carries_output(event: dict[str, Any]) -> bool:
    """Whether a client can see something generated in this event."""
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        delta = choice.get("delta") or {}
        if choice.get("text") or choice.get("token_ids") or any(delta.get(name) for name in GENERATED):
            return True
    return False


def output_tokens(event: dict[str, Any]) -> int | None:
    usage = event.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) else None


def error_code(event: dict[str, Any]) -> int | None:
    error = event.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else None
