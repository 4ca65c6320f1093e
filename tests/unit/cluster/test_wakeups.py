"""The loops: one pass at a time, bursts make one pass, nothing ends a loop but a gone object."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar

import pytest
from rayspan.errors import ApiUnavailable
from rayspan.telemetry import Telemetry
from rayspan.wakeups import SPACING_SECONDS, STUMBLE_SECONDS, Wakeups

from tests.unit.no_time import in_no_time


class Passes:
    """Counts passes and their times; answers what it is told to."""

    def __init__(self, *answers: float | Exception | None, seconds: float = 0.0) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.at: list[float] = []
        self.news: list[bool] = []
        self.together = self.most_together = 0

    async def __call__(self, key: tuple[str, str], news: bool, edited: asyncio.Event) -> float | None:
        self.edited = edited
        self.news.append(news)
        self.at.append(round(asyncio.get_running_loop().time(), 3))
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        await asyncio.sleep(self.seconds)
        self.together -= 1
        answer = self.answers.pop(0) if self.answers else 1000.0
        if isinstance(answer, Exception):
            raise answer
        return answer


@in_no_time
async def test_a_burst_of_events_makes_one_pass_and_one_more() -> None:
    passes = Passes()
    wakeups = Wakeups(passes, Telemetry())
    for _ in range(100):
        wakeups.wake("ns", "a")
    await asyncio.sleep(0.01)
    for _ in range(100):
        wakeups.wake("ns", "a")
    await asyncio.sleep(5)
    assert passes.at == [0.0, SPACING_SECONDS]
    await wakeups.stop()


async def test_a_loop_keeps_nothing_of_the_event_that_began_it() -> None:
    event: ContextVar[str] = ContextVar("event", default="none")
    seen = []

    async def one_pass(key: tuple[str, str], news: bool, edited: asyncio.Event) -> float:
        seen.append(event.get())
        return 1000.0

    wakeups = Wakeups(one_pass, Telemetry())
    event.set("of kopf")
    wakeups.wake("ns", "a")
    await asyncio.sleep(0.01)
    await wakeups.stop()
    assert seen == ["none"]


@in_no_time
async def test_without_events_it_looks_again_when_it_said() -> None:
    passes = Passes(2.0, 5.0)
    wakeups = Wakeups(passes, Telemetry())
    wakeups.wake("ns", "a")
    await asyncio.sleep(10)
    assert passes.at == [0.0, 2.0, 7.0]
    await wakeups.stop()


@in_no_time
async def test_a_pass_is_told_whether_an_event_asked_for_it() -> None:
    passes = Passes(10.0, 10.0, 10.0)
    wakeups = Wakeups(passes, Telemetry())
    wakeups.wake("ns", "a")
    await asyncio.sleep(15)
    wakeups.wake("ns", "a")
    await asyncio.sleep(1)
    assert passes.news == [True, False, True]
    await wakeups.stop()


@in_no_time
async def test_a_pass_sees_edits_that_come_meanwhile_and_no_other_events() -> None:
    passes = Passes(seconds=3.0)
    wakeups = Wakeups(passes, Telemetry())
    wakeups.wake("ns", "a", 1)
    await asyncio.sleep(1)
    wakeups.wake("ns", "a")
    assert not passes.edited.is_set()
    wakeups.wake("ns", "a", 2)
    assert passes.edited.is_set()
    await asyncio.sleep(3)
    assert not passes.edited.is_set(), "of the next pass"
    await wakeups.stop()


@in_no_time
async def test_an_event_is_looked_at_at_once_after_a_look_without_one() -> None:
    passes = Passes(10.0, 1000.0)
    wakeups = Wakeups(passes, Telemetry())
    wakeups.wake("ns", "a")
    await asyncio.sleep(10.1)
    wakeups.wake("ns", "a")
    await asyncio.sleep(1)
    assert passes.at == [0.0, 10.0, 10.1]
    await wakeups.stop()


@in_no_time
async def test_an_event_during_a_pass_is_not_lost() -> None:
    passes = Passes(seconds=3.0)
    wakeups = Wakeups(passes, Telemetry())
    wakeups.wake("ns", "a")
    await asyncio.sleep(1)
    wakeups.wake("ns", "a")
    await asyncio.sleep(10)
    assert (passes.at, passes.most_together) == ([0.0, 3.0], 1)
    await wakeups.stop()


@in_no_time
async def test_deployments_do_not_wait_for_each_other() -> None:
    passes = Passes(seconds=3.0)
    wakeups = Wakeups(passes, Telemetry())
    wakeups.wake("ns", "a")
    wakeups.wake("ns", "b")
    await asyncio.sleep(1)
    assert passes.most_together == 2
    await wakeups.stop()


@in_no_time
async def test_its_own_status_wakes_nobody_but_a_new_generation_does() -> None:
    passes = Passes()
    wakeups = Wakeups(passes, Telemetry())
    for generation in (1, 1, 1, 2):
        wakeups.wake("ns", "a", generation)
        await asyncio.sleep(1)
    assert passes.at == [0.0, 3.0]
    await wakeups.stop()


@in_no_time
async def test_a_gone_object_ends_its_loop_and_a_new_one_begins_another() -> None:
    passes = Passes(None, None)
    wakeups = Wakeups(passes, Telemetry())
    wakeups.wake("ns", "a", 1)
    await asyncio.sleep(5)
    wakeups.wake("ns", "a", 1)
    await asyncio.sleep(5)
    assert passes.at == [0.0, 5.0]
    await wakeups.stop()


@in_no_time
async def test_a_bug_in_a_pass_ends_no_loop(caplog: pytest.LogCaptureFixture) -> None:
    passes = Passes(ZeroDivisionError("a bug"))
    wakeups = Wakeups(passes, Telemetry())
    with caplog.at_level(logging.ERROR):
        wakeups.wake("ns", "a")
        await asyncio.sleep(STUMBLE_SECONDS + 1)
    assert passes.at == [0.0, STUMBLE_SECONDS]
    assert "ns/a: the pass failed" in caplog.text
    await wakeups.stop()


@in_no_time
async def test_a_cluster_that_does_not_answer_is_told_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    wakeups = Wakeups(Passes(ApiUnavailable("GET /x: TimeoutError")), Telemetry())
    wakeups.wake("ns", "a")
    await asyncio.sleep(1)
    (said,) = caplog.records
    assert said.getMessage() == "ns/a: the pass was broken off: GET /x: TimeoutError"
    assert said.exc_info is None
    await wakeups.stop()


@in_no_time
async def test_what_belongs_to_nothing_wakes_nobody() -> None:
    passes = Passes()
    wakeups = Wakeups(passes, Telemetry())
    wakeups.wake("ns", None)
    wakeups.wake(None, "a")
    await asyncio.sleep(1)
    assert passes.at == []


@in_no_time
async def test_when_it_was_stopped_nothing_wakes_it_any_more() -> None:
    passes = Passes(1.0, 1.0, 1.0)
    wakeups = Wakeups(passes, Telemetry())
    wakeups.wake("ns", "a")
    await asyncio.sleep(0.5)
    await wakeups.stop()
    wakeups.wake("ns", "a")
    wakeups.wake("ns", "b")
    await asyncio.sleep(10)
    assert passes.at == [0.0]


@in_no_time
async def test_telemetry_knows_of_loops_for_as_long_as_there_are_any() -> None:
    telemetry = Telemetry(asyncio.get_running_loop().time)
    wakeups = Wakeups(Passes(1000.0, None), telemetry)
    wakeups.wake("ns", "a")
    await asyncio.sleep(20)
    assert telemetry.last_pass_seconds() == 20
    wakeups.wake("ns", "a")
    await asyncio.sleep(20)
    assert telemetry.last_pass_seconds() == 0, "it found its object gone"
