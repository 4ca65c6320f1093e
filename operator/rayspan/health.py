"""``GET /healthz``, for the kubelet: 200, or 503 with what is wrong.

The event loop that does all the work answers, so one that is stuck does not answer at all. It is there from the start
of the process to its end, on standby too. That the Kubernetes API or KubeRay are away is no ailment: a restart would
not bring them back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from aiohttp import web

from rayspan.settings import Settings
from rayspan.telemetry import Telemetry


def ailments(telemetry: Telemetry, settings: Settings) -> Iterator[str]:
    """What a restart would mend, one sentence each."""
    late = telemetry.loop_lag_seconds()
    if late > settings.lag_deadline_seconds:
        yield f"the event loop woke up {late:.1f} s late; at most {settings.lag_deadline_seconds:g} s are normal"
    age = telemetry.oldest_pass_seconds()
    if age > settings.pass_deadline_seconds:
        yield f"a pass has been under way for {age:.0f} s; at most {settings.pass_deadline_seconds:g} s are normal"
    quiet, most = telemetry.last_pass_seconds(), settings.pass_deadline_seconds + settings.calm_seconds
    if quiet > most:
        yield f"no pass has ended for {quiet:.0f} s; at most {most:g} s are normal"


@asynccontextmanager
async def served(telemetry: Telemetry, settings: Settings) -> AsyncIterator[None]:
    """Answer for as long as the block runs."""

    async def answer(_: web.Request) -> web.Response:
        wrong = list(ailments(telemetry, settings))
        return web.json_response({"leader": telemetry.leading, "wrong": wrong}, status=503 if wrong else 200)

    if not settings.listen_port:
        yield
        return
    app = web.Application()
    app.router.add_get("/healthz", answer)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.listen_host, settings.listen_port).start()
        yield
    finally:
        await runner.cleanup()
