"""What can go wrong between operator and API server, one thing at a time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from multidict import CIMultiDict

from tests.matrix.proxy import Answer, Call, Cut, Fault

DELAY_SECONDS: Final = 4.0
"""How late a late event comes: after at least one more pass of a deployment that is not settled."""
STALE_SECONDS: Final = 5.0
"""How long reads are answered with what was there before. A lagging cache of an API server catches up within seconds."""
FOR_EVER: Final = 3600.0

_REASONS: Final = {
    409: ("Conflict", "the object has been modified; please apply your changes to the latest version"),
    429: ("TooManyRequests", "too many requests, please try again later"),
    500: ("InternalError", "an error on the server has prevented the request from succeeding"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
}
_GONE: Final = {
    "type": "ERROR",
    "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"},
}


@dataclass(frozen=True)
class Hands:
    """What faults can do besides breaking requests. All of it returns at once or may be waited for."""

    kill: Callable[[], None]
    """SIGKILL the operator now; a new one is started."""
    restart_server: Callable[[], Awaitable[None]]
    """Kill the API server and start it on the same etcd."""
    delete: Callable[[], Awaitable[None]]
    """Delete the LLMDeployment, as its owner would."""


Make = Callable[[Hands], Fault]


def refusal(status: int) -> Answer:
    """What an API server says with this status."""
    reason, message = _REASONS[status]
    headers = CIMultiDict({"Content-Type": "application/json"})
    if status == 429:
        headers["Retry-After"] = "1"
    body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": message}
    return Answer(status, headers, json.dumps(body).encode())


class _AtWrite(Fault):
    """Strikes at the write of this number, once."""

    def __init__(self, number: int, hands: Hands) -> None:
        super().__init__()
        self.number, self.hands = number, hands

    def hit(self, call: Call) -> bool:
        if call.write != self.number or self.struck.is_set():
            return False
        self.strike()
        return True


class KilledBefore(_AtWrite):
    """The operator dies; the API server never sees the write."""

    async def before(self, call: Call) -> Answer | None:
        if self.hit(call):
            self.hands.kill()
            raise Cut
        return None


class KilledAfter(_AtWrite):
    """The write is done; the operator dies before it knows."""

    async def after(self, call: Call, answer: Answer, remembered: Answer | None) -> Answer:
        if self.hit(call):
            self.hands.kill()
            raise Cut
        return answer


class CutBefore(_AtWrite):
    """The connection breaks; the API server never sees the write."""

    async def before(self, call: Call) -> Answer | None:
        if self.hit(call):
            raise Cut
        return None


class CutAfter(_AtWrite):
    """The write is done; its answer is lost."""

    async def after(self, call: Call, answer: Answer, remembered: Answer | None) -> Answer:
        if self.hit(call):
            raise Cut
        return answer


class NeverAnswered(_AtWrite):
    """The write is done; its answer never comes, until the operator's own time-out."""

    async def after(self, call: Call, answer: Answer, remembered: Answer | None) -> Answer:
        if self.hit(call):
            await asyncio.sleep(FOR_EVER)
        return answer


class ServerRestarted(_AtWrite):
    """The write is done; the API server dies before it answers, and comes back with what etcd has."""

    async def after(self, call: Call, answer: Answer, remembered: Answer | None) -> Answer:
        if self.hit(call):
            await self.hands.restart_server()
            raise Cut
        return answer


class DeletedBefore(_AtWrite):
    """The owner deletes the LLMDeployment while the write is on its way."""

    async def before(self, call: Call) -> Answer | None:
        if self.hit(call):
            await self.hands.delete()
        return None


class DeletedAfterAndKilled(_AtWrite):
    """The write is done; the operator dies, and the LLMDeployment is deleted before a new one is there."""

    async def after(self, call: Call, answer: Answer, remembered: Answer | None) -> Answer:
        if self.hit(call):
            await self.hands.delete()
            self.hands.kill()
            raise Cut
        return answer


class WriteRefused(_AtWrite):
    """The API server says no, once."""

    def __init__(self, status: int, number: int, hands: Hands) -> None:
        super().__init__(number, hands)
        self.status = status

    async def before(self, call: Call) -> Answer | None:
        return refusal(self.status) if self.hit(call) else None


class ReadBroken(Fault):
    """The first read of a route is refused with a status; 0: it is cut; -1: it is never answered."""

    def __init__(self, route: str, status: int) -> None:
        super().__init__()
        self.route, self.status = route, status

    async def before(self, call: Call) -> Answer | None:
        if call.route != self.route or self.struck.is_set():
            return None
        self.strike()
        if self.status < 0:
            await asyncio.sleep(FOR_EVER)
        if not self.status:
            raise Cut
        return refusal(self.status)


class Stale(Fault):
    """For some seconds all reads of a route are answered with what was there before."""

    def __init__(self, route: str) -> None:
        super().__init__()
        self.route = route
        self._first: dict[str, Answer] = {}

    def concerns(self, call: Call) -> bool:
        """Whether the answer is a stale one."""
        return call.route == self.route

    async def after(self, call: Call, answer: Answer, remembered: Answer | None) -> Answer:
        if not self.concerns(call):
            return answer
        self.strike()
        if time.monotonic() - self.struck_at > STALE_SECONDS:
            return answer
        return remembered or self._first.setdefault(call.url, answer)


class StaleAtStart(Stale):
    """The operator dies, and the new one is told what was there before, by every list of a kind.

    By every one, for what the operator owns is listed by label, and LLMDeployments without.
    """

    def __init__(self, plural: str, hands: Hands) -> None:
        super().__init__(f"LIST {plural}")
        self.plural = plural
        self._kill: Callable[[], None] | None = hands.kill

    def concerns(self, call: Call) -> bool:
        return (call.verb, call.plural) == ("LIST", self.plural)

    async def before(self, call: Call) -> Answer | None:
        if self._kill is None:
            return None
        kill, self._kill = self._kill, None
        kill()
        raise Cut


class Events(Fault):
    """Watch events of a kind (of all: ``*``) are dropped, doubled or late, or end the watch."""

    def __init__(self, how: str, plural: str) -> None:
        super().__init__()
        self.how, self.plural = how, plural

    def events(self, call: Call, line: bytes) -> tuple[tuple[float, bytes], ...]:
        if self.plural not in ("*", call.plural):
            return ((0.0, line),)
        self.strike()
        match self.how:
            case "dropped":
                return ()
            case "doubled":
                return ((0.0, line), (0.0, line))
            case "late":
                return ((DELAY_SECONDS, line),)
            case "expired":
                return ((0.0, json.dumps(_GONE).encode() + b"\n"),)
            case _:
                raise Cut


AT_WRITES: Final[dict[str, Callable[[int, Hands], Fault]]] = {
    "killed before": KilledBefore,
    "killed after": KilledAfter,
    "cut before": CutBefore,
    "cut after": CutAfter,
    "no answer": NeverAnswered,
    "409": lambda number, hands: WriteRefused(409, number, hands),
    "429": lambda number, hands: WriteRefused(429, number, hands),
    "500": lambda number, hands: WriteRefused(500, number, hands),
}
"""Ways to break a write."""
RESTARTED: Final = "server restarted"
DELETIONS: Final[dict[str, Callable[[int, Hands], Fault]]] = {
    "deleted before": DeletedBefore,
    "deleted after, killed": DeletedAfterAndKilled,
}
"""What ends with nothing left."""
AT_READS: Final = {"read 429": 429, "read 500": 500, "read cut": 0, "read no answer": -1}
AT_EVENTS: Final = ("dropped", "doubled", "late", "expired", "cut")
WATCHED: Final = ("llmdeployments", "rayservices", "rayclusters", "pods")
