"""Have this process work only while it leads, where several serve the same deployments.

The Lease is taken before anything is watched, renewed by the event loop that does the work (one that is stuck loses
it), and let go when all loops have ended. A process that loses it ends at once, without another write: passes that
are under way cannot be called back, and a new process begins as a candidate that knows nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from rayspan.cluster.client import connect
from rayspan.cluster.lease import SHORTEST_SECONDS, Election, Terms
from rayspan.errors import SettingsError
from rayspan.racing import raced
from rayspan.settings import Settings
from rayspan.telemetry import Telemetry

log = logging.getLogger("rayspan")

LOST: Final = 1
"""Exit code of a process that lost the Lease."""

Question = Callable[[], bool]


@asynccontextmanager
async def leadership(
    settings: Settings,
    telemetry: Telemetry,
    stop: asyncio.Event,
    clock: Callable[[], float] = time.monotonic,
    end: Callable[[int], object] = os._exit,
) -> AsyncIterator[Question | None]:
    """Wait until this process leads; gives the question whether it still does, or None when told to stop before."""
    if not settings.leader_elect:
        telemetry.leads(True)
        yield lambda: True
        return
    terms = _terms(settings)
    # A session of its own: no pass of a deployment can hold up a renewal.
    client = await connect(settings.kubeconfig, terms.request_timeout)
    try:
        place = (settings.lease_namespace, settings.lease_name)
        election = Election(client, place, identity(), terms, clock)
        if not await _acquired(election, stop):
            yield None
            return
        log.info("this process leads: it holds the Lease %s/%s", *place)
        telemetry.leads(True)
        holding = asyncio.create_task(_end_when_lost(election, end))
        try:
            yield election.leads
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)
            await election.release()
            telemetry.leads(False)
    finally:
        await client.close()


async def _end_when_lost(election: Election, end: Callable[[int], object]) -> None:
    """Hold the Lease; end the process, as it stands, when it is lost."""
    try:
        why = await election.hold()
    except Exception as error:
        # Whatever it is: a process that renews no more must not stay on as if it led.
        log.exception("holding the Lease failed")
        why = f"the Lease could not be held: {error!r}"
    log.critical("%s: this process ends, for another one may lead by now", why)
    end(LOST)


def identity() -> str:
    """The pod's name, and what no other process has: a container that starts again in its pod is another candidate."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


def _terms(settings: Settings) -> Terms:
    if not settings.lease_namespace:
        raise SettingsError(
            "RAYSPAN_LEADER_ELECT is on, and it is not said where the Lease is: "
            "set RAYSPAN_LEASE_NAMESPACE (--lease-namespace) to the operator's own namespace"
        )
    if settings.lease_seconds < SHORTEST_SECONDS:
        raise SettingsError(
            f"RAYSPAN_LEASE_SECONDS is {settings.lease_seconds}; it should be {SHORTEST_SECONDS} or more, "
            "so that there is time for two requests within it"
        )
    return Terms(settings.lease_seconds)


async def _acquired(election: Election, stop: asyncio.Event) -> bool:
    """Wait for the Lease, or for being told to stop."""
    try:
        async with raced(election.acquire(), stop.wait()) as (acquiring, _):
            if acquiring.done():
                acquiring.result()
            return not stop.is_set()
    finally:
        if stop.is_set():
            await election.release()
