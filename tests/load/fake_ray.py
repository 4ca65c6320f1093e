"""Ray and an engine in pods in which nothing runs: one server on all of this machine's addresses.

A pod is told by the address that is asked, one of 127.0.0.0/8. Every replica runs, every completion is answered at once, and
the metrics pages are empty: what a deployment costs that is Ready and that nobody uses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import yaml
from aiohttp import web
from rayspan.cluster.probe import REPLICA_HEADER
from rayspan.render import names

from tests import ray_answers
from tests.api.direct import Object

SERVING_PORT: Final = 8000
_ANSWER: Final = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}}]}


class FakeRay:
    """All clusters."""

    def __init__(self) -> None:
        self._served: dict[str, tuple[Object, list[str]]] = {}

    def serve(self, head: str, service: Object, stages: list[str]) -> None:
        """Have the head at this address tell of one replica of the RayService, whose stages are at these."""
        (application,) = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
        self._served[head] = application, stages

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer, at the ports of the dashboard, of the metrics and of serving."""
        app = web.Application()
        app.router.add_get("/api/serve/applications/", self._applications)
        app.router.add_get("/api/v0/{table}", self._rows)
        app.router.add_get("/metrics", _page)
        app.router.add_post("/v1/chat/completions", _completion)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            for each in (names.DASHBOARD_PORT, names.METRICS_PORT, SERVING_PORT):
                await web.TCPSite(runner, "0.0.0.0", each, backlog=1024).start()
            yield
        finally:
            await runner.cleanup()

    async def _applications(self, request: web.Request) -> web.Response:
        application, stages = self._served[_asked(request)]
        return web.json_response(
            ray_answers.application(application, "RUNNING", "RUNNING", [stages], takes=stages)
        )

    async def _rows(self, request: web.Request) -> web.Response:
        head = _asked(request)
        stages = self._served[head][1]
        return web.json_response(ray_answers.rows(request, [head, *stages], [stages]))


def _asked(request: web.Request) -> str:
    assert request.transport is not None
    return str(request.transport.get_extra_info("sockname")[0])


async def _page(_: web.Request) -> web.Response:
    return web.Response()


async def _completion(request: web.Request) -> web.Response:
    return web.json_response(_ANSWER, headers={REPLICA_HEADER: request.headers.get(REPLICA_HEADER, "")})
