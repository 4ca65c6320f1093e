"""Which replica gets the next request of this proxy. Pure.

The one with the fewest requests under way from here; among equals, the one whose last turn is longest ago, so that also
requests that come one at a time go round. Each proxy begins at another place, by chance. A proxy does not know what others
sent; but each of them spreads its own requests evenly, and so does their sum. That is what HAProxy's `leastconn` does.

A replica that did not take a connection rests for a moment: a pod that is gone may swallow connections in silence.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

REST_SECONDS = 5.0


@dataclass(frozen=True)
class Target:
    """A replica that has an HTTP server of its own (`rayspan_serving.replica_http`)."""

    replica: str
    """As Serve calls it."""
    url: str


class Balance:
    def __init__(
        self, now: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        self._now, self._chance = now, chance
        self._under_way: Counter[str] = Counter()
        self._turns = count(1)
        self._last_turn: dict[str, float] = {}
        self._rests_until: dict[str, float] = {}

    def order(self, targets: Sequence[Target]) -> list[Target]:
        """Those that may be asked, the best first. What is no target any more is forgotten."""
        names, now = {one.replica for one in targets}, self._now()
        for kept in (self._last_turn, self._rests_until):
            for gone in kept.keys() - names:
                del kept[gone]
        return sorted(
            (one for one in targets if self._rests_until.get(one.replica, 0) <= now), key=self._rank
        )

    def _rank(self, target: Target) -> tuple[int, float]:
        turn = self._last_turn.setdefault(target.replica, -self._chance())
        return self._under_way[target.replica], turn

    @contextmanager
    def turn(self, target: Target) -> Iterator[None]:
        """While the replica has a request of ours."""
        self._last_turn[target.replica] = next(self._turns)
        self._under_way[target.replica] += 1
        try:
            yield
        finally:
            self._under_way[target.replica] -= 1
            if not self._under_way[target.replica]:
                del self._under_way[target.replica]

    def rest(self, target: Target) -> None:
        """It did not answer: leave it alone for a moment."""
        self._rests_until[target.replica] = self._now() + REST_SECONDS
