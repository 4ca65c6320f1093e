"""What kopf asks the API server for, and what it is given where the API server writes ``null``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import kopf
import pytest
from aiohttp import web
from rayspan.login import session

METADATA = "application/json;as=PartialObjectMetadata"


@asynccontextmanager
async def asking() -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A session as kopf has it, and the address of a server that answers every list with an empty one, and with what was
    asked for."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(
            {"items": None, "accept": request.headers["Accept"], "by": request.headers["Authorization"]}
        )

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with session(kopf.ConnectionInfo(server=url, token="secret")).aiohttp_session as asked:
            yield asked, url
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/api/v1/pods?limit=100", f"{METADATA}List;"),
        ("/api/v1/namespaces/a/pods?watch=true", f"{METADATA};"),
        ("/apis/ray.io/v1/rayservices?limit=100", f"{METADATA}List;"),
        ("/apis/ray.io/v1/rayclusters?watch=true", f"{METADATA};"),
        ("/apis/rayspan.dev/v1alpha1/llmdeployments?watch=true", "*/*"),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "*/*"),
    ],
)
async def test_of_what_belongs_to_deployments_only_metadata_is_asked_for(path: str, accept: str) -> None:
    async with asking() as (asked, url), asked.get(url + path) as response:
        answer = await response.json()
    assert answer["accept"].startswith(accept)
    assert answer["by"] == "Bearer secret"
    assert answer["items"] == []
