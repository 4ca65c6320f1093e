"""Have kopf watch, for as long as the process works, what there is to watch.

kopf gives up when a kind that it watches is uninstalled, as KubeRay may be; then it begins afresh, while the loops of
the deployments go on.

Clusterwide, kopf notices by itself which kinds come and go. An operator that serves some namespaces only has no right
to list CustomResourceDefinitions, nor namespaces. It asks instead, every few seconds, for what needs no such right:
which of its kinds the API server serves, and in which of its namespaces its role is bound. When that changes, kopf
begins afresh with it. A namespace whose role is missing is left out until it is there, so that it hinders no other.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import kopf

from rayspan import errors
from rayspan.cluster import kinds
from rayspan.cluster.client import Client
from rayspan.racing import ended
from rayspan.settings import Settings

log = logging.getLogger("rayspan")

WATCH_AGAIN_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 10.0
"""How soon a KubeRay that is installed later is noticed where CustomResourceDefinitions may not be watched."""
_WATCHER: Final = "watcher for "
"""How the names of the tasks begin in which kopf watches one kind (``kopf._core.reactor.orchestration``)."""


@dataclass(frozen=True)
class Watchable:
    """What a restricted operator can watch."""

    kinds: frozenset[str]
    namespaces: frozenset[str]


async def watch(
    registry: kopf.OperatorRegistry, settings: Settings, client: Client, stop: asyncio.Event
) -> None:
    """Have kopf watch until told to stop."""
    while not stop.is_set():
        try:
            if settings.watch_namespaces:
                await _watch_namespaces(registry, settings, client, stop)
            else:
                await _operator(registry, stop)
        except Exception:
            log.exception("watching came to an end; it begins again in %g s", WATCH_AGAIN_SECONDS)
            await _pause(stop, WATCH_AGAIN_SECONDS)


async def watchable(client: Client, namespaces: Collection[str]) -> Watchable:
    """What there is now, of the kinds that are watched and the namespaces that are to be served."""
    wanted = (kinds.LLM_DEPLOYMENT, kinds.RAY_SERVICE, kinds.RAY_CLUSTER)
    served = [kind.name for kind in wanted if await client.serves(kind)]
    granted = [one for one in namespaces if await _granted(client, one)]
    return Watchable(frozenset(served), frozenset(granted))


async def _granted(client: Client, namespace: str) -> bool:
    """Whether the operator's role is bound in a namespace."""
    try:
        # No pod has this name: the question costs nothing and has an answer all the same.
        await client.find(kinds.POD, namespace, fields="metadata.name=-")
    except errors.Forbidden:
        return False
    return True


async def _watch_namespaces(
    registry: kopf.OperatorRegistry, settings: Settings, client: Client, stop: asyncio.Event
) -> None:
    """Once, until what can be watched has changed."""
    now = await watchable(client, settings.watch_namespaces)
    if closed := sorted(set(settings.watch_namespaces) - now.namespaces):
        log.warning(
            "may not list pods in the namespaces %s, which are left out until that is allowed: the Role and the "
            "RoleBinding of the operator are missing there; `helm upgrade` makes them anew",
            ", ".join(closed),
        )
    async with _until_changed(client, settings.watch_namespaces, now, stop) as changed:
        if now.namespaces:
            await _operator(registry, stop, changed, sorted(now.namespaces))
        else:
            await changed.wait()


@asynccontextmanager
async def _until_changed(
    client: Client, namespaces: Collection[str], before: Watchable, stop: asyncio.Event
) -> AsyncIterator[asyncio.Event]:
    """A flag that is set when what can be watched is not what it was before, or when told to stop."""
    flag = asyncio.Event()

    async def look() -> None:
        while not stop.is_set():
            await _pause(stop, LOOK_SECONDS)
            with suppress(errors.ApiError, errors.ApiUnavailable):  # nothing is known then
                if await watchable(client, namespaces) != before:
                    break
        flag.set()

    looking = asyncio.create_task(look())
    try:
        yield flag
    finally:
        looking.cancel()


async def _operator(
    registry: kopf.OperatorRegistry,
    stop: asyncio.Event,
    changed: asyncio.Event | None = None,
    namespaces: Collection[str] = (),
) -> None:
    """One run of kopf, until told to stop or until something changed. When it returns, no watcher of it is left."""
    tasks = await kopf.spawn_tasks(
        registry=registry,
        stop_flag=changed or stop,
        clusterwide=not namespaces,
        namespaces=namespaces,
    )
    # In place of kopf's, which end this one run only: one that comes between two runs would be lost.
    stop_on_signals(stop)
    try:
        await kopf.run_tasks(tasks, ignored=_All())
    finally:
        await _end_watchers()


class _All(frozenset[asyncio.Task[Any]]):
    """Has every task: kopf ends its own, and not the loops of the deployments, which began after it."""

    def __contains__(self, task: object) -> bool:
        return True


async def _end_watchers() -> None:
    """End the watchers that kopf forgets where one of them fails, as when its kind is uninstalled
    (docs/decisions/0009-the-end-of-a-run-of-kopf.md)."""
    await ended([task for task in asyncio.all_tasks() if task.get_name().startswith(_WATCHER)])


def stop_on_signals(stop: asyncio.Event) -> None:
    """Have SIGINT and SIGTERM set the event."""
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, stop.set)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
