"""Which of several processes works: the one that holds a ``coordination.k8s.io`` Lease.

The rules are those of client-go's ``tools/leaderelection``. A candidate never compares clocks with the holder. It
looks again and again, and takes a Lease that says the same for as long as its holder promised to renew it within,
counted on the candidate's own clock from when it first saw it so. Whoever writes names the version that was read, so
of two who take it at once the API server refuses one.

Two never lead at once, because the holder gives up before anybody may take it: it counts a shorter time, and from
before a renewal was sent, while a candidate counts from after it was seen. Clocks may be as far apart as they like,
and may run at different speeds up to the ratio of the two times, 3 : 2.

A Lease stops nobody from writing, it only tells. So the holder asks ``leads`` before each write (``Client``), and its
process ends when ``hold`` returns. What is left is a request that was sent in time and takes longer than a third of
the duration to arrive; Rayspan's writes are harmless then, for the new leader sends the same ones.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from rayspan.cluster.kinds import LEASE, Kind
from rayspan.errors import ApiError, ApiUnavailable, Conflict
from rayspan.racing import raced

log = logging.getLogger("rayspan.lease")

Object = dict[str, Any]
Spec = Mapping[str, Any]

SHORTEST_SECONDS: Final = 3
"""Of the duration: less is no time for two requests and a pause."""


@dataclass(frozen=True)
class Terms:
    """How long an election takes, in seconds, in client-go's proportions (15 : 10 : 2)."""

    duration: int = 6
    """What a holder promises to renew within: a takeover takes this and a ``retry``."""

    @property
    def renew_deadline(self) -> float:
        """After this without a renewal, the holder gives up."""
        return self.duration * 10 / 15

    @property
    def retry(self) -> float:
        """Pause between two renewals, or two looks."""
        return self.duration * 2 / 15

    @property
    def request_timeout(self) -> float:
        """What one request may take, so that one that hangs leaves time for another (as controller-runtime has it)."""
        return self.renew_deadline / 2


@dataclass(frozen=True)
class Seen:
    """What a Lease says, and since when, by the clock of the process that looks."""

    spec: Spec
    since: float


def said_by(lease: Object | None) -> Spec:
    """The spec of a Lease; empty: there is none."""
    spec: Spec = (lease or {}).get("spec") or {}
    return spec


def holder(lease: Object | None) -> str:
    """Identity of who holds a Lease, or ``nobody``."""
    return said_by(lease).get("holderIdentity") or "nobody"


def seen(before: Seen | None, lease: Object | None, now: float) -> Seen | None:
    """What is known after a look; of a Lease that was deleted, what was known before."""
    if lease is None:
        return before
    spec = said_by(lease)
    return before if before and before.spec == spec else Seen(spec, now)


def patience(known: Seen | None, now: float, duration: float) -> float:
    """Seconds until a Lease may be taken if nobody renews it; 0: now. Duration: where its holder states none."""
    if known is None or not known.spec.get("holderIdentity"):
        return 0.0
    promised = known.spec.get("leaseDurationSeconds") or duration
    return max(0.0, known.since + promised - now)


def claimed(spec: Spec, identity: str, duration: int, at: str) -> Spec:
    """The spec with which a process takes a Lease or renews it, at a time of day that is for people only."""
    mine = spec.get("holderIdentity") == identity
    taken: Object = {} if mine else {"acquireTime": at}
    if not mine and spec:
        taken["leaseTransitions"] = (spec.get("leaseTransitions") or 0) + 1
    renewed = {"holderIdentity": identity, "leaseDurationSeconds": duration, "renewTime": at}
    return {"leaseTransitions": 0, **spec, **taken, **renewed}


def released(spec: Spec, at: str) -> Spec:
    """The spec with which a holder lets go."""
    return {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": at, "acquireTime": at}


class LeaseApi(Protocol):
    """What is needed of the API; ``Client`` has it."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """The object, or None."""

    async def create(self, wanted: Object) -> Object:
        """Raises Conflict if there is one."""

    async def update(self, wanted: Object) -> Object:
        """Raises Conflict if it is not of the version that ``wanted`` names."""


class Election:
    """One process as a candidate: ``acquire``, then ``hold`` for as long as it works, then ``release``."""

    def __init__(
        self,
        api: LeaseApi,
        place: tuple[str, str],
        identity: str,
        terms: Terms,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Place: namespace and name of the Lease. Identity: of this process alone, also after a restart."""
        self._api = api
        self._namespace, self._name = place
        self._identity = identity
        self._terms = terms
        self._clock = clock
        self._sleep = sleep
        self._lease: Object | None = None  # as last written; None: it has to be read
        self._until = -math.inf
        self._said = ""

    def leads(self) -> bool:
        """Whether this process may act now."""
        return self._clock() < self._until

    async def acquire(self) -> None:
        """Wait until this process leads."""
        known: Seen | None = None
        while not self.leads():
            pause = self._terms.retry
            try:
                lease = await self._read()
                now = self._clock()
                known = seen(known, lease, now)
                wait = patience(known, now, self._terms.duration)
                if not wait or holder(lease) == self._identity:
                    await self._claim(lease)
                    continue
                pause = min(pause, wait)
                self._say(f"{holder(lease)} leads, this process stands by", logging.INFO)
            except Conflict:
                pass  # somebody was quicker
            except (ApiError, ApiUnavailable) as error:
                self._say(f"the Lease {self._place} cannot be taken: {error}", logging.WARNING)
            await self._sleep(pause)

    async def hold(self) -> str:
        """Renew for as long as that can be done; then why it can be done no longer. ``leads`` is false from then on."""
        async with raced(self._renew(), self._expire()) as tasks:
            self._until = -math.inf
            return next(task for task in tasks if task.done()).result()

    async def release(self) -> None:
        """Let go, so that another leads at once. If that fails, it waits as if this process had been killed."""
        if not self.leads():
            return
        self._until = -math.inf
        for _ in range(2):  # a renewal that was cut off may have changed it: then it has to be read again
            try:
                lease = self._lease or await self._read()
                self._lease = None
                if lease and holder(lease) == self._identity:
                    await self._api.update({**lease, "spec": released(lease["spec"], _now())})
                return
            except (ApiError, ApiUnavailable) as error:
                self._say(f"the Lease {self._place} was not released: {error}", logging.WARNING)

    async def _renew(self) -> str:
        while True:
            await self._sleep(self._terms.retry)
            try:
                lease = self._lease or await self._read()
                if holder(lease) != self._identity:
                    return f"{holder(lease)} holds the Lease {self._place}"
                await self._claim(lease)
            except (ApiError, ApiUnavailable) as error:
                self._lease = None
                self._say(f"the Lease {self._place} was not renewed: {error}", logging.WARNING)

    async def _expire(self) -> str:
        while (left := self._until - self._clock()) > 0:
            await self._sleep(max(left, 0.001))
        return f"the Lease {self._place} could not be renewed for {self._terms.renew_deadline:g} s"

    async def _read(self) -> Object | None:
        return await self._api.get(LEASE, self._namespace, self._name)

    async def _claim(self, lease: Object | None) -> None:
        spec = claimed(said_by(lease), self._identity, self._terms.duration, _now())
        sent = self._clock()
        if lease is None:
            metadata = {"namespace": self._namespace, "name": self._name}
            new = {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": metadata, "spec": spec}
            self._lease = await self._api.create(new)
        else:
            self._lease = await self._api.update({**lease, "spec": spec})
        self._until = sent + self._terms.renew_deadline
        self._said = ""

    @property
    def _place(self) -> str:
        return f"{self._namespace}/{self._name}"

    def _say(self, what: str, level: int) -> None:
        """Log once what is tried every second."""
        if what != self._said:
            self._said = what
            log.log(level, what)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
