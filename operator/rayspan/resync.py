"""Find the deployments that no event told of.

kopf lists a kind when it begins to watch it and goes by events from then on, through every reconnection. An
LLMDeployment whose first event is lost on the way (a proxy between, an API server that serves a stale cache) would
never have a loop. One that has a loop needs no event: it reads all anew by itself, as often at least.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from rayspan import errors
from rayspan.cluster import kinds
from rayspan.cluster.client import Client
from rayspan.wakeups import Wakeups

log = logging.getLogger("rayspan")


async def resync(client: Client, namespaces: Collection[str], wakeups: Wakeups, seconds: float) -> None:
    """List them every so often, in the given namespaces or in all, for as long as it is not cancelled."""
    while True:
        await asyncio.sleep(seconds)
        for namespace in namespaces or (None,):
            try:
                found = await client.find(kinds.LLM_DEPLOYMENT, namespace)
            except errors.RayspanError as error:
                log.debug("LLMDeployments cannot be listed: %s", error)  # kopf says so, louder
                continue
            for one in found:
                wakeups.begin(one["metadata"]["namespace"], one["metadata"]["name"])
