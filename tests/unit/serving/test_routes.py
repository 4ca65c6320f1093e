"""What the serving port answers, and that it answers nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rayspan_serving.routes import HEALTH, Allowed, endpoints

SERVED = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/audio/transcriptions",
    "/v1/score",
    "/v1/models",
    "/v1/models/org/name",
    "/-/healthz",
)
ELSEWHERE = (
    "/", "/-/routes", "/docs", "/openapi.json", "/metrics", "/health", "/version", "/tokenize", "/detokenize",
    "/sleep", "/wake_up", "/is_sleeping", "/reset_prefix_cache", "/start_profile", "/collective_rpc", "/server_info",
    "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/v1/responses", "/invocations", "/internal/route",
    "/v1/modelsx", "/v1/chat/completions/", "//v1/models", "/v1/chat/completions/render",
)  # fmt: skip


async def receive() -> Any: ...


async def asked(
    path: str, paths: tuple[str, ...] | None = None, kind: str = "http", method: str = "POST"
) -> list[Any]:
    """What is sent back; an application behind it would have sent its own name."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sent.append("application")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": kind, "method": method, "path": path, "headers": []}
    await Allowed(app, paths)(scope, receive, send)
    return sent


@pytest.mark.parametrize("path", SERVED)
async def test_what_is_served_goes_through(path: str) -> None:
    assert await asked(path) == ["application"]


@pytest.mark.parametrize("path", ELSEWHERE)
async def test_everything_else_is_404_as_openai_says_it(path: str) -> None:
    start, body = await asked(path, method="GET")
    assert start["status"] == 404
    wanted = {"message": f"Invalid URL (GET {path})", "type": "invalid_request_error", "param": None}
    assert json.loads(body["body"]) == {"error": {**wanted, "code": 404}}


async def test_an_answer_repeats_no_endless_path() -> None:
    _, body = await asked("/" + "x" * 5000)
    assert len(body["body"]) < 500


async def test_nobody_gets_a_web_socket() -> None:
    assert await asked(HEALTH, kind="websocket") == [{"type": "websocket.close"}]
    assert await asked("", kind="lifespan") == ["application"]


async def test_the_head_answers_its_health_alone() -> None:
    assert await asked(HEALTH, paths=(HEALTH,)) == ["application"]
    start, _ = await asked("/v1/models", paths=(HEALTH,))
    assert start["status"] == 404


def test_the_ingress_has_no_route_that_the_proxy_lets_nobody_reach() -> None:
    class App:
        def get(self, path: str) -> str:
            return path

        post = get

    routes = {route(App()) for route in endpoints().values()}
    assert routes == {path for path in SERVED if path not in (HEALTH, "/v1/models/org/name")} | {
        "/v1/models/{model:path}"
    }
