"""The settable engine behind nothing but its own HTTP server, as vLLM stands alone: to measure what is put before it.

    python tests/faults/bare_engine.py PORT

Ray's metrics are left out, for there is no Ray.
"""

import sys
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import uvicorn
from settable_engine import SettableEngine, Settings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route


class BareEngine(SettableEngine):
    def __init__(self) -> None:
        self.forget()
        self._tags = {"ReplicaId": "bare"}

    def _show(self, settings: Settings) -> None:
        pass

    def _count(self, settings: Settings, batches: int) -> None:
        pass


engine = BareEngine()


@asynccontextmanager
async def started(app: Starlette) -> Any:
    await engine.start()
    yield


async def chat(request: Request) -> StreamingResponse:
    body = await request.json()
    asked = SimpleNamespace(max_tokens=body.get("max_tokens"))
    return StreamingResponse(engine.chat(asked), media_type="text/event-stream")


async def models(request: Request) -> JSONResponse:
    return JSONResponse({"object": "list", "data": [{"id": "tiny", "object": "model", "owned_by": "test"}]})


async def health(request: Request) -> JSONResponse:
    await engine.check_health()
    return JSONResponse({})


app = Starlette(
    routes=[
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/models", models),
        Route("/health", health),
    ],
    lifespan=started,
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
