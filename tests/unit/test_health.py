"""``/healthz``: what it calls an ailment, and that it is answered for as long as the process lives."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from rayspan.health import ailments, served
from rayspan.settings import Settings
from rayspan.telemetry import Telemetry

from tests.api.server import free_port
from tests.unit.no_time import in_no_time

KEY = ("llm", "tiny")
SETTINGS = Settings(pass_deadline_seconds=120, calm_seconds=12, lag_deadline_seconds=5)


class Now:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Now:
    return Now()


def wrong(telemetry: Telemetry) -> list[str]:
    return list(ailments(telemetry, SETTINGS))


def test_a_process_with_nothing_to_do_is_well_for_ever(now: Now) -> None:
    telemetry = Telemetry(now)
    now.seconds += 1e6
    assert wrong(telemetry) == []


def test_a_pass_that_does_not_end_is_an_ailment(now: Now) -> None:
    telemetry = Telemetry(now)
    with telemetry.passing(KEY):
        now.seconds += 120
        assert wrong(telemetry) == []
        now.seconds += 1
        assert wrong(telemetry) == ["a pass has been under way for 121 s; at most 120 s are normal"]
    assert wrong(telemetry) == []


def test_loops_of_which_none_makes_a_pass_are_an_ailment(now: Now) -> None:
    telemetry = Telemetry(now)
    now.seconds += 1e6
    telemetry.looping(KEY, True)
    telemetry.looping(("llm", "other"), True)
    now.seconds += 132
    assert wrong(telemetry) == []
    now.seconds += 1
    assert wrong(telemetry) == ["no pass has ended for 133 s; at most 132 s are normal"]
    with telemetry.passing(KEY):
        pass
    assert wrong(telemetry) == []
    now.seconds += 1000
    telemetry.looping(KEY, False)
    assert len(wrong(telemetry)) == 1, "the other one still has a loop"
    telemetry.looping(("llm", "other"), False)
    assert wrong(telemetry) == []


@in_no_time
async def test_a_loop_that_wakes_up_late_is_an_ailment() -> None:
    """The process stands still for 6 seconds, as one does that computes; then it goes on."""
    loop, still = asyncio.get_running_loop(), 0.0
    telemetry = Telemetry(lambda: loop.time() + still)
    watching = asyncio.create_task(telemetry.watch_the_loop())
    await asyncio.sleep(10.5)
    assert wrong(telemetry) == []
    still = 6.0
    await asyncio.sleep(1)
    assert wrong(telemetry) == ["the event loop woke up 6.0 s late; at most 5 s are normal"]
    await asyncio.sleep(1)
    assert wrong(telemetry) == []
    watching.cancel()


async def test_it_is_answered_from_the_start_with_what_is_wrong(now: Now) -> None:
    telemetry, settings = Telemetry(now), Settings(listen_host="127.0.0.1", listen_port=free_port())
    url = f"http://127.0.0.1:{settings.listen_port}/healthz"
    async with aiohttp.ClientSession() as session:

        async def asked() -> tuple[int, object]:
            async with session.get(url) as answer:
                return answer.status, await answer.json()

        async with served(telemetry, settings):
            assert await asked() == (200, {"leader": False, "wrong": []})
            telemetry.leads(True)
            assert await asked() == (200, {"leader": True, "wrong": []})
            telemetry.looping(KEY, True)
            now.seconds += 1000
            assert await asked() == (
                503,
                {"leader": True, "wrong": ["no pass has ended for 1000 s; at most 132 s are normal"]},
            )
        with pytest.raises(aiohttp.ClientConnectorError):
            await asked()
