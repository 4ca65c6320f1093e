"""What the serving port answers. Everything else is 404, in the words that OpenAI's clients know.

The list stands twice in a request's way: here in Serve's HTTP proxy (plain ASGI), whose own `/-/routes` would tell
what is deployed, and in the routes that the ingress has at all (app.py). So neither a route that a newer Ray adds nor one
of vLLM's own server (`/sleep`, `/reset_prefix_cache`, `/load_lora_adapter`, `/tokenize`, ...) is reached without
being named here. Left out of Ray's are `/tokenize`, `/detokenize` and `/openapi.json`, which no client of the OpenAI
API asks for.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from rayspan_serving import errors

HEALTH = "/-/healthz"
"""Answered by the proxy: the readiness probe's, and KubeRay's."""
MODELS = "/v1/models"
POSTS: Mapping[str, str] = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "transcriptions": "/v1/audio/transcriptions",
    "score": "/v1/score",
}
"""Paths of the completions and their like, by the names of the methods of Ray's ingress."""
SERVED = frozenset({HEALTH, MODELS, *POSTS.values()})

_SHOWN = 200
"""Characters of a path that an answer repeats."""


class Allowed:
    """Lets through what is served; `paths`, when given, in place of it."""

    def __init__(self, app: ASGIApp, paths: Collection[str] | None = None) -> None:
        self.app = app
        self._allows: Callable[[str], bool] = served if paths is None else paths.__contains__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # nothing here speaks it; Serve's own routes would
            await send({"type": "websocket.close"})
        elif scope["type"] == "http" and not self._allows(scope["path"]):
            await nothing_here(scope)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def served(path: str) -> bool:
    """Whether the path is one of ours; a model's id may have slashes in it."""
    return path in SERVED or path.startswith(f"{MODELS}/")


def nothing_here(scope: Scope) -> JSONResponse:
    """The answer where there is nothing."""
    text = f"Invalid URL ({scope['method']} {scope['path'][:_SHOWN]})"
    return errors.response(404, text, "invalid_request_error")


def endpoints() -> dict[str, Callable[[Any], Any]]:
    """Routes as `ray.serve.llm.ingress.make_fastapi_ingress` takes them: by method, what decorates it."""

    def posted(path: str) -> Callable[[Any], Any]:
        return lambda app: app.post(path)

    return {
        "models": lambda app: app.get(MODELS),
        "model_data": lambda app: app.get(f"{MODELS}/{{model:path}}"),
        **{method: posted(path) for method, path in POSTS.items()},
    }
