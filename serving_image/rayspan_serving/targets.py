"""The replicas that have an HTTP server of their own, as Serve's controller tells (long poll), for the proxy.

A replica says where its server is in its routing stats (`rayspan_serving.server`), which Serve hands to whoever routes. While
the controller is away, what it told last stands: whether a replica lives shows when it is asked.
"""

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import Sequence
from typing import Any

import ray
from ray.serve._private.common import DeploymentID, DeploymentTargetInfo
from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE
from ray.serve._private.long_poll import LongPollClient, LongPollNamespace

from rayspan_serving.balance import Target

logger = logging.getLogger("ray.serve")

SERVER_PREFIX = "LLMServer:"
HTTP_URL = "rayspan_http_url"
"""In the routing stats: where the replica's server is."""
AGAIN_SECONDS = 1.0


class Targets:
    """Call it for what is known; the first call begins to listen."""

    def __init__(self, application: str, model: str) -> None:
        self._deployment = DeploymentID(name=engine_deployment(model), app_name=application)
        self._known: tuple[Target, ...] = ()
        self._client: LongPollClient | None = None
        self._begins: asyncio.Task[None] | None = None
        self._began = float("-inf")

    def __call__(self) -> Sequence[Target]:
        listens = self._client is not None and self._client.is_running
        begins = self._begins is not None and not self._begins.done()
        if not listens and not begins and time.monotonic() - self._began > AGAIN_SECONDS:
            self._began = time.monotonic()
            # In a context of its own: Ray ends what a request began together with the request.
            self._begins = contextvars.Context().run(asyncio.ensure_future, self._listen())
        return self._known

    async def _listen(self) -> None:
        with contextlib.suppress(ValueError):  # no controller yet
            controller = await asyncio.to_thread(ray.get_actor, SERVE_CONTROLLER_NAME, SERVE_NAMESPACE)
            key: Any = (LongPollNamespace.DEPLOYMENT_TARGETS, self._deployment)
            loop = asyncio.get_running_loop()
            self._client = LongPollClient(controller, {key: self._told}, loop, "rayspan-direct")

    def _told(self, told: DeploymentTargetInfo) -> None:
        found = (
            (one.replica_id.unique_id, (one.routing_stats or {}).get(HTTP_URL))
            for one in told.running_replicas
        )
        self._known = tuple(sorted((Target(replica, url) for replica, url in found if url), key=str))
        logger.info("replicas to ask directly: %s", [one.replica for one in self._known])


def engine_deployment(model: str) -> str:
    """The Serve deployment of a model's engines, as Ray's builder names it (`rayspan_serving.app`)."""
    return SERVER_PREFIX + model.replace("/", "--").replace(".", "_")
