"""The election: who may take a Lease when, how fast it changes hands, and that two never lead at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rayspan.cluster.lease import Election, Seen, Spec, Terms, claimed, patience, released, seen

from tests.unit.cluster.leases import PLACE, Clock, Line, Server, Trip, candidate
from tests.unit.no_time import in_no_time

AT = "2026-01-31T12:00:00.000000Z"
HELD: dict[str, Any] = {
    "holderIdentity": "a", "leaseDurationSeconds": 6, "acquireTime": AT, "renewTime": AT, "leaseTransitions": 4,
}  # fmt: skip


def test_the_times_are_in_the_proportions_of_client_go() -> None:
    six, fifteen = Terms(), Terms(15)
    assert (fifteen.duration, fifteen.renew_deadline, fifteen.retry) == (15, 10, 2)
    assert (six.duration, six.renew_deadline, six.retry, six.request_timeout) == (6, 4, 0.8, 2)


PATIENCE: dict[str, tuple[Spec | None, float]] = {
    "there is none": (None, 0.0),
    "nobody holds it": ({**HELD, "holderIdentity": ""}, 0.0),
    "somebody let go without a word": ({}, 0.0),
    "it was seen 2 s ago and promised for 6": (HELD, 4.0),
    "its holder promised something else": ({**HELD, "leaseDurationSeconds": 15}, 13.0),
    "its holder promised nothing: one's own time counts": ({"holderIdentity": "a"}, 5.0),
    "it is overdue": ({**HELD, "leaseDurationSeconds": 1}, 0.0),
    "its times of day are from long ago, which says nothing": ({**HELD, "renewTime": "1970-01-01T00:00:00Z"}, 4.0),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "seconds"), PATIENCE.values(), ids=list(PATIENCE))
def test_how_long_a_candidate_waits(spec: Spec | None, seconds: float) -> None:
    known = None if spec is None else Seen(spec, since=100.0)
    assert patience(known, now=102.0, duration=7) == seconds


def test_only_a_change_of_what_it_says_counts_as_a_sign_of_life() -> None:
    def lease(version: str, **spec: Any) -> dict[str, Any]:
        return {"metadata": {"resourceVersion": version}, "spec": {**HELD, **spec}}

    first = seen(None, lease("1"), 10.0)
    assert first == Seen(HELD, 10.0)
    assert seen(first, lease("2"), 11.0) == first, "somebody labelled it"
    assert seen(first, None, 11.0) == first, "it was deleted, and its holder may not know"
    renewed = seen(first, lease("3", renewTime="2026-01-31T12:00:01.000000Z"), 12.0)
    assert renewed is not None and renewed.since == 12.0


def test_what_is_written() -> None:
    later = "2026-01-31T12:00:09.000000Z"
    new = {"holderIdentity": "b", "leaseDurationSeconds": 6, "renewTime": later, "acquireTime": later}
    assert claimed({}, "b", 6, later) == {**new, "leaseTransitions": 0}
    assert claimed(HELD, "b", 6, later) == {**new, "leaseTransitions": 5}
    assert claimed(HELD, "a", 6, later) == {**HELD, "renewTime": later}
    free = released(HELD, later)
    assert free == {**new, "holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 4}
    assert claimed(free, "a", 6, later)["leaseTransitions"] == 5


async def led_by(election: Election, within: float) -> float:
    """Seconds until a candidate leads."""
    started = asyncio.get_running_loop().time()
    async with asyncio.timeout(within):
        await election.acquire()
    return asyncio.get_running_loop().time() - started


@in_no_time
async def test_the_first_one_leads_at_once_and_renews() -> None:
    server = Server()
    line = Line(server)
    one = candidate(line, "a")
    assert await led_by(one, 1) < 0.1
    holding = asyncio.create_task(one.hold())
    await asyncio.sleep(60)
    assert one.leads() and not holding.done()
    assert server.holder == "a"
    assert line.sent[:3] == ["GET", "POST", "PUT"]
    assert 60 / 1 < line.sent.count("PUT") < 60 / 0.8, "a renewal is one request"
    holding.cancel()


@in_no_time
async def test_one_that_is_killed_is_followed_within_7_seconds() -> None:
    """Whenever between two renewals it dies, and whenever between two looks the other one looks."""
    took = []
    for moment in range(20):
        server = Server()
        killed, next_one = candidate(Line(server), "a"), candidate(Line(server), "b")
        await killed.acquire()
        holding = asyncio.create_task(killed.hold())
        waiting = asyncio.create_task(next_one.acquire())
        await asyncio.sleep(10 + moment * 0.083)
        assert not waiting.done()
        holding.cancel()
        died = asyncio.get_running_loop().time()
        await waiting
        took.append(asyncio.get_running_loop().time() - died)
    assert 5 < min(took) <= max(took) < 7, took


@in_no_time
async def test_one_that_lets_go_is_followed_within_a_second() -> None:
    server = Server()
    first, second = candidate(Line(server), "a"), candidate(Line(server), "b")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(2)
    await first.release()
    assert (server.holder, first.leads()) == ("", False)
    let_go = asyncio.get_running_loop().time()
    await waiting
    assert asyncio.get_running_loop().time() - let_go < 1


@in_no_time
async def test_it_lets_go_even_where_its_last_renewal_was_cut_off() -> None:
    """The server has a version that the holder never heard of."""
    server = Server()
    one = candidate(Line(server, [Trip(), Trip(), Trip(back=1)]), "a")
    await one.acquire()
    holding = asyncio.create_task(one.hold())
    await asyncio.sleep(Terms().retry + 0.5)
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    await one.release()
    assert server.holder == ""


@in_no_time
async def test_what_was_never_held_or_is_lost_is_not_let_go() -> None:
    server = Server()
    holder, other = candidate(Line(server), "a"), candidate(Line(server), "b")
    await holder.acquire()
    await other.release()
    assert server.holder == "a"
    await asyncio.sleep(Terms().renew_deadline)
    await holder.release()
    assert server.holder == "a"


@in_no_time
async def test_it_gives_up_when_the_server_is_away_and_before_another_may_lead() -> None:
    server = Server()
    line = Line(server)
    one, other = candidate(line, "a"), candidate(Line(server), "b")
    await one.acquire()
    holding = asyncio.create_task(one.hold())
    waiting = asyncio.create_task(other.acquire())
    await asyncio.sleep(10)
    line.cut, cut_at = True, asyncio.get_running_loop().time()
    assert await holding == "the Lease rayspan-system/rayspan could not be renewed for 4 s"
    gave_up = asyncio.get_running_loop().time() - cut_at
    assert 3 < gave_up <= 4
    assert not one.leads() and not waiting.done()
    await waiting
    assert asyncio.get_running_loop().time() - cut_at > gave_up + 1


@in_no_time
async def test_an_outage_shorter_than_the_deadline_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    line = Line(server)
    one = candidate(line, "a")
    await one.acquire()
    holding = asyncio.create_task(one.hold())
    with caplog.at_level(logging.WARNING):
        line.cut = True
        await asyncio.sleep(3)
        line.cut = False
        await asyncio.sleep(3)
    assert one.leads() and not holding.done()
    assert caplog.messages == ["the Lease rayspan-system/rayspan was not renewed: connection refused"]
    holding.cancel()


@in_no_time
async def test_the_holder_counts_from_before_it_sent_and_the_candidate_from_after_it_saw() -> None:
    server = Server()
    line = Line(server, [Trip(), Trip(there=0.4, back=1.5)])
    one = candidate(line, "a")
    assert await led_by(one, 2) == pytest.approx(1.91)
    line.cut = True
    await one.hold()
    assert asyncio.get_running_loop().time() == pytest.approx(0.01 + 4)
    began = asyncio.get_running_loop().time()
    await candidate(Line(server, [Trip(there=0.2, back=1.5)]), "b").acquire()
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.7 + 6, abs=0.05)


TAKEN: dict[str, tuple[dict[str, Any] | None, str]] = {
    "by another": ({**HELD, "holderIdentity": "b"}, "b holds the Lease rayspan-system/rayspan"),
    "by a hand that cleared it": ({}, "nobody holds the Lease rayspan-system/rayspan"),
    "by a hand that deleted it": (None, "nobody holds the Lease rayspan-system/rayspan"),
}


@pytest.mark.parametrize(("spec", "why"), TAKEN.values(), ids=list(TAKEN))
def test_a_lease_that_was_taken_is_lost_before_it_ends(spec: dict[str, Any] | None, why: str) -> None:
    @in_no_time
    async def test() -> None:
        server = Server()
        one = candidate(Line(server), "a")
        await one.acquire()
        assert server.lease is not None
        server.lease = None if spec is None else {"metadata": {"resourceVersion": "x"}, "spec": spec}
        async with asyncio.timeout(2):
            assert await one.hold() == why
        assert not one.leads()

    test()


@in_no_time
async def test_a_deleted_lease_is_not_made_anew_while_its_holder_may_still_work() -> None:
    server = Server()
    holder, other = candidate(Line(server), "a"), candidate(Line(server), "b")
    await holder.acquire()
    waiting = asyncio.create_task(other.acquire())
    await asyncio.sleep(1)
    server.lease = None
    await asyncio.sleep(Terms().renew_deadline)
    assert not waiting.done()
    await waiting
    assert server.holder == "b"


@in_no_time
async def test_a_claim_without_an_answer_that_arrived_is_found_out() -> None:
    server = Server()
    one = candidate(Line(server, [Trip(), Trip(back=60)]), "a")
    assert await led_by(one, 10) < 4
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == 0


@in_no_time
async def test_why_it_cannot_be_taken_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    line = Line(Server())
    line.cut = True
    with caplog.at_level(logging.INFO), contextlib.suppress(TimeoutError):
        await led_by(candidate(line, "a"), 20)
    assert caplog.messages == ["the Lease rayspan-system/rayspan cannot be taken: connection refused"]


seconds = st.one_of(st.floats(0, 0.1), st.floats(0, 3), st.floats(0, 12))
trips = st.lists(
    st.builds(Trip, there=seconds, back=seconds, arrives=st.sampled_from((True, True, True, False))),
    max_size=30,
)
clocks = st.builds(Clock, offset=st.floats(-1e6, 1e6), speed=st.sampled_from((0.85, 1.0, 1.2)))
"""Of two, one is 1.41 times as fast as the other at most; 1.5 is what the terms allow."""
lives = st.lists(
    st.tuples(st.floats(0, 20), st.sampled_from(("killed", "released", "cut off", "stays"))),
    min_size=2,
    max_size=3,
)


class Watched(Election):
    """An election that notes from when to when it led."""

    terms: list[tuple[float, float]]

    async def _claim(self, lease: dict[str, Any] | None) -> None:
        await super()._claim(lease)
        now = asyncio.get_running_loop().time()
        left = (self._until - self._clock()) / self.clock.speed
        if left > 0:
            self.terms.append((now, now + left))

    def __init__(self, line: Line, identity: str, clock: Clock) -> None:
        super().__init__(line, PLACE, identity, Terms(), clock.now, clock.sleep)
        self.line, self.clock, self.terms = line, clock, []

    async def live(self, until: float, end: str) -> None:
        """One process: it ends as leaders do, or is killed, or is told to stop."""
        loop = asyncio.get_running_loop()
        if end == "cut off":
            loop.call_later(until, setattr, self.line, "cut", True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(until if end in ("killed", "released") else None):
                await self.acquire()
                await self.hold()
        self.terms = [(start, min(stop, loop.time())) for start, stop in self.terms]
        if end == "released":
            await self.release()


@settings(max_examples=100, deadline=None)
@given(lives=lives, data=st.data())
def test_two_never_lead_at_once_and_in_the_end_one_does(
    lives: list[tuple[float, str]], data: st.DataObject
) -> None:
    """Delays, losses and answers that never come, either way; clocks that are off and go wrong; sudden ends."""

    @in_no_time
    async def test() -> None:
        server = Server()
        all_of_them = [
            Watched(Line(server, data.draw(trips)), str(number), data.draw(clocks))
            for number in range(len(lives))
        ]
        tasks = [asyncio.create_task(one.live(*life)) for one, life in zip(all_of_them, lives, strict=True)]
        await asyncio.sleep(40)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        led = [(start, stop, one) for one in all_of_them for start, stop in one.terms]
        for (_, stop, one), (start, _, other) in itertools.pairwise(sorted(led, key=lambda each: each[:2])):
            assert one is other or stop <= start
        await asyncio.sleep(12)  # what is still on its way has arrived
        assert await led_by(candidate(Line(server), "last"), 7) < 7

    test()
