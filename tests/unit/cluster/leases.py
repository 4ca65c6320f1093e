"""Leases in memory, as an API server keeps them, and clocks that go wrong."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rayspan.cluster.kinds import Kind
from rayspan.cluster.lease import Election, Object, Terms
from rayspan.errors import ApiUnavailable, Conflict

PLACE = ("rayspan-system", "rayspan")
TIMEOUT = Terms().request_timeout


class Server:
    """One Lease: versions, and a 409 where the version that is named is not the one that is there."""

    def __init__(self) -> None:
        self.lease: Object | None = None
        self._versions = itertools.count(1)

    def create(self, wanted: Object) -> Object:
        if self.lease is not None:
            raise Conflict(409, "AlreadyExists", "there is one")
        return self._store(wanted)

    def update(self, wanted: Object) -> Object:
        now = self.lease and self.lease["metadata"]["resourceVersion"]
        if now != wanted["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "the object has been modified")
        return self._store(wanted)

    @property
    def holder(self) -> str:
        return str(self.lease["spec"]["holderIdentity"]) if self.lease else ""

    def _store(self, wanted: Object) -> Object:
        self.lease = copy.deepcopy(wanted)
        self.lease["metadata"]["resourceVersion"] = str(next(self._versions))
        return copy.deepcopy(self.lease)


@dataclass(frozen=True)
class Trip:
    """What becomes of a request: seconds to the server and back, and whether it gets there."""

    there: float = 0.005
    back: float = 0.005
    arrives: bool = True


class Line:
    """The way of one process to the server. A request that takes longer than its timeout fails there, and may arrive all the same."""

    def __init__(self, server: Server, trips: Iterable[Trip] = ()) -> None:
        self.server = server
        self.trips: Iterator[Trip] = itertools.chain(trips, itertools.repeat(Trip()))
        self.cut = False
        self.sent: list[str] = []
        self._late: set[asyncio.Task[Object | None]] = set()

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        assert (kind.name, namespace, name) == ("Lease", *PLACE)
        return await self._request("GET", lambda: copy.deepcopy(self.server.lease))

    async def create(self, wanted: Object) -> Object:
        return await self._request("POST", lambda: self.server.create(wanted)) or {}

    async def update(self, wanted: Object) -> Object:
        return await self._request("PUT", lambda: self.server.update(wanted)) or {}

    async def _request(self, method: str, act: Callable[[], Object | None]) -> Object | None:
        self.sent.append(method)
        trip = Trip(arrives=False) if self.cut else next(self.trips)

        async def travel() -> Object | None:
            await asyncio.sleep(trip.there)
            if not trip.arrives:
                raise ApiUnavailable("connection refused")
            answer = act()
            await asyncio.sleep(trip.back)
            return answer

        task = asyncio.create_task(travel())
        self._late.add(task)
        task.add_done_callback(self._landed)
        try:
            async with asyncio.timeout(TIMEOUT):
                return await asyncio.shield(task)
        except TimeoutError:
            raise ApiUnavailable(f"{method}: no answer") from None

    def _landed(self, task: asyncio.Task[Object | None]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # nobody else may ask any more


@dataclass(frozen=True)
class Clock:
    """A process's own clock: it began elsewhere, and may be fast or slow."""

    offset: float = 0.0
    speed: float = 1.0

    def now(self) -> float:
        return self.offset + self.speed * asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)


def candidate(line: Line, identity: str, clock: Clock | None = None) -> Election:
    clock = clock or Clock()
    return Election(line, PLACE, identity, Terms(), clock.now, clock.sleep)
