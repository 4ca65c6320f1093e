"""The API server asked directly, many requests at a time: kubectl would be a process for each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

LLM: Final = "apis/rayspan.dev/v1alpha1", "llmdeployments"
RAY_SERVICE: Final = "apis/ray.io/v1", "rayservices"
RAY_CLUSTER: Final = "apis/ray.io/v1", "rayclusters"
JOB: Final = "apis/batch/v1", "jobs"
POD: Final = "api/v1", "pods"
EVENT: Final = "api/v1", "events"
SERVICE: Final = "api/v1", "services"
NODE: Final = "api/v1", "nodes"

_PAUSES: Final = (1, 2, 4, 8)
"""Seconds."""

Object = dict[str, Any]
Kind = tuple[str, str]
"""Group with version, and plural."""


class No(Exception):
    """The API server's no: its status code, and the text in its words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


class Direct:
    """A session with everything allowed."""

    def __init__(self, session: aiohttp.ClientSession, server: str, at_once: int) -> None:
        self._session, self._server = session, server
        self._at_once = asyncio.Semaphore(at_once)

    async def ask(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **query: str
    ) -> Object:
        """One request, again while the API server has too much to do; raises No."""
        url = f"{self._server}/{path}"
        headers = {"Content-Type": content_type}
        for pause in _PAUSES:
            async with (
                self._at_once,
                self._session.request(method, url, json=body, params=query, headers=headers) as response,
            ):
                answer: Object = json.loads(await response.read())
            if response.status < 300:
                return answer
            if response.status not in (429, 500, 503, 504):
                break
            await asyncio.sleep(pause)
        raise No(response.status, answer.get("message", ""))

    async def text(self, path: str) -> str:
        """What is no JSON."""
        async with self._session.get(f"{self._server}/{path}") as response:
            return await response.text()

    async def create(self, kind: Kind, namespace: str, thing: Object, **query: str) -> Object:
        """Create, as strict about unknown fields as kubectl is."""
        return await self.ask("POST", place(kind, namespace), thing, fieldValidation="Strict", **query)

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """An object, or None."""
        try:
            return await self.ask("GET", place(kind, namespace, name))
        except No as error:
            if error.status == 404:
                return None
            raise

    async def find(self, kind: Kind, namespace: str, **query: str) -> list[Object]:
        """All of a kind in a namespace."""
        items: list[Object] = (await self.ask("GET", place(kind, namespace), **query))["items"]
        return items

    async def patch(self, kind: Kind, namespace: str, name: str, change: Any) -> Object:
        """A merge patch; the name may be followed by a subresource."""
        what = "application/merge-patch+json"
        return await self.ask("PATCH", place(kind, namespace, name), change, what, fieldValidation="Strict")

    async def delete(self, kind: Kind, namespace: str, name: str = "") -> None:
        """Delete an object, or all in the namespace; that there is none is no error."""
        try:
            await self.ask("DELETE", place(kind, namespace, name), {"propagationPolicy": "Background"})
        except No as error:
            if error.status != 404:
                raise

    async def watch(self, kind: Kind, namespace: str = "") -> AsyncIterator[Object]:
        """Events of a kind from now on, those of all namespaces by default, with what is there first."""
        query = {"watch": "1", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        query |= {"allowWatchBookmarks": "true"}
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(
            f"{self._server}/{place(kind, namespace)}", params=query, timeout=timeout
        ) as response:
            rest = b""
            async for piece in response.content.iter_any():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    event: Object = json.loads(line)
                    if event["type"] != "BOOKMARK":
                        yield event


def place(kind: Kind, namespace: str = "", name: str = "") -> str:
    """The path of an object, or of all."""
    group, plural = kind
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{group}{within}/{plural}" + (f"/{name}" if name else "")


def _access(kubeconfig: Path) -> tuple[str, str]:
    config = json.loads(kubeconfig.read_text())
    return config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]


@asynccontextmanager
async def direct(kubeconfig: Path, at_once: int = 32) -> AsyncIterator[Direct]:
    """A session with the API server of ``server.api_server``."""
    server, token = _access(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=False, limit=0)
    timeout = aiohttp.ClientTimeout(total=120)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:
        yield Direct(session, server, at_once)
