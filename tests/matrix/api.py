"""The API server as the matrix itself uses it: plain requests that are repeated while it is being restarted."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

GROUPS: Final = {
    "llmdeployments": "/apis/rayspan.dev/v1alpha1",
    "rayservices": "/apis/ray.io/v1",
    "rayclusters": "/apis/ray.io/v1",
    "jobs": "/apis/batch/v1",
    "secrets": "/api/v1",
    "pods": "/api/v1",
    "services": "/api/v1",
    "events": "/api/v1",
}
PATIENCE_SECONDS: Final = 120.0

Object = dict[str, Any]


class Api:
    """One session. Close it."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self.server: str = config["clusters"][0]["cluster"]["server"]
        self.token: str = config["users"][0]["user"]["token"]
        self._session = aiohttp.ClientSession(
            self.server,
            headers={"Authorization": f"Bearer {self.token}"},
            connector=aiohttp.TCPConnector(ssl=False),
        )

    async def close(self) -> None:
        """End it."""
        await self._session.close()

    async def list(self, namespace: str, plural: str) -> list[Object]:
        """All objects of a kind in a namespace."""
        answer = await self._ask("GET", _path(namespace, plural))
        found: list[Object] = (answer or {}).get("items") or []
        return found

    async def get(self, namespace: str, plural: str, name: str) -> Object | None:
        """One object; None: there is none."""
        return await self._ask("GET", _path(namespace, plural, name))

    async def create(self, namespace: str, plural: str, thing: Object) -> Object | None:
        """Create an object; None: there is one of this name."""
        return await self._ask("POST", _path(namespace, plural), thing)

    async def merge(self, namespace: str, plural: str, name: str, change: Object) -> Object | None:
        """Change some fields; a name may end with a subresource. None: there is no such object."""
        return await self._ask(
            "PATCH", _path(namespace, plural, name), change, "application/merge-patch+json"
        )

    async def delete(self, namespace: str, plural: str, name: str = "", *, at_once: bool = False) -> None:
        """Delete an object, or all of a kind; at once: without the grace that nobody here waits for."""
        grace = {"gracePeriodSeconds": 0} if at_once else {}
        await self._ask(
            "DELETE", _path(namespace, plural, name), {"propagationPolicy": "Background", **grace}
        )

    async def create_namespace(self, name: str) -> None:
        """Create a namespace."""
        await self._ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    async def delete_namespace(self, name: str) -> None:
        """Begin to delete a namespace."""
        await self.delete(name, "pods", at_once=True)
        await self._ask("DELETE", f"/api/v1/namespaces/{name}")

    async def _ask(
        self, method: str, path: str, body: Object | None = None, content_type: str = "application/json"
    ) -> Object | None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        data = None if body is None else json.dumps(body)
        while True:
            try:
                async with self._session.request(
                    method, path, data=data, headers={"Content-Type": content_type}
                ) as response:
                    text = await response.text()
                    if response.status in (404, 409):
                        return None
                    if response.status < 300:
                        answer: Object = json.loads(text)
                        return answer
                    # While it starts it refuses more than it should.
                    problem = f"{method} {path}: HTTP {response.status}: {text[:500]}"
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                problem = f"{method} {path}: {error!r}"
            if time.monotonic() > deadline:
                raise RuntimeError(problem)
            await asyncio.sleep(0.5)


def _path(namespace: str, plural: str, name: str = "") -> str:
    return f"{GROUPS[plural]}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")
