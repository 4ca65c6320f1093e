"""Which points there are, and the run of one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from tests.matrix import faults
from tests.matrix.lab import RESYNC_SECONDS, Lab, Place
from tests.matrix.proxy import Fault
from tests.matrix.scenarios import SCENARIOS
from tests.matrix.state import State, difference, unfinished

SETTLE_SECONDS: Final = 240.0
"""What a step may take. The slowest fault, an answer that never comes, costs the operator's time-out and pause."""
STABLE_SECONDS: Final = 4.0
STABLE_PASSES: Final = 3
"""For how long, and how many passes, nothing may be written for an undisturbed step to be over."""
REST_SECONDS: Final = 1.0
"""How long a disturbed step's state has to stay as it should be."""
LATE_SECONDS: Final = RESYNC_SECONDS + 2
"""How long to wait for a fault that did not strike: some reads are made by the clock, and an event is written after the
last change of the state."""


@dataclass
class Reference:
    """What the undisturbed run came to."""

    states: list[State] = field(default_factory=list)
    """After each step."""
    writes: list[str] = field(default_factory=list)
    """From the armed step on."""
    routes: list[str] = field(default_factory=list)
    watched: list[str] = field(default_factory=list)
    """Kinds that events were seen of: of others none can be broken."""


@dataclass(frozen=True)
class Point:
    """One scenario, one fault, one place."""

    scenario: str
    fault: str
    where: str
    make: faults.Make
    vanishes: bool = False
    """Whether nothing is left at the end, whatever the scenario comes to."""

    def __str__(self) -> str:
        return f"{self.scenario} | {self.fault} | {self.where}"


@dataclass(frozen=True)
class Result:
    """What came of a point."""

    point: Point
    reached: bool
    """Whether the fault struck at all."""
    problem: str | None
    seconds: float
    """From the fault to the end of the step in which it struck: the state as it should be."""
    log: str


def points(scenario: str, reference: Reference) -> Iterator[Point]:
    """All points of a scenario."""
    kinds = dict(faults.AT_WRITES)
    kinds[faults.RESTARTED] = faults.ServerRestarted
    for fault, strike in (*kinds.items(), *(faults.DELETIONS.items() if scenario == "create" else ())):
        for number, route in enumerate(reference.writes, 1):
            yield Point(
                scenario, fault, f"write {number}, {route}",
                lambda hands, number=number, strike=strike: strike(number, hands),  # type: ignore[misc]
                vanishes=fault in faults.DELETIONS,
            )  # fmt: skip
    for fault, status in faults.AT_READS.items():
        for route in reference.routes:
            yield Point(
                scenario, fault, route,
                lambda hands, route=route, status=status: faults.ReadBroken(route, status),  # type: ignore[misc]
            )  # fmt: skip
    for route in reference.routes:
        if route != "GET discovery":
            yield Point(
                scenario, "stale read", route, lambda hands, route=route: faults.Stale(route)  # type: ignore[misc]
            )  # fmt: skip
    for plural in faults.WATCHED:
        yield Point(
            scenario, "stale list at start", f"LIST {plural}",
            lambda hands, plural=plural: faults.StaleAtStart(plural, hands),  # type: ignore[misc]
        )  # fmt: skip
    for how in faults.AT_EVENTS:
        for plural in (*reference.watched, "*"):
            yield Point(
                scenario, f"events {how}", plural,
                lambda hands, plural=plural, how=how: faults.Events(how, plural),  # type: ignore[misc]
            )  # fmt: skip


async def undisturbed(lab: Lab, name: str) -> Reference:
    """The run that all others are compared with."""
    found, scenario = Reference(), SCENARIOS[name]
    async with lab.place() as place:
        place.note(f"{name}, undisturbed")
        for number, act in enumerate(scenario.steps):
            if number == scenario.armed:
                place.proxy.arm(Fault())
            await act(lab.api, place.namespace.name)
            await _stable(place)
            while unfinished(state := await place.namespace.state()):
                await _stable(place)
            found.states.append(state)
        found.writes, found.routes = list(place.proxy.writes), list(place.proxy.routes)
        found.watched = [plural for plural in faults.WATCHED if plural in place.proxy.watched]
    if not found.writes:
        raise RuntimeError(f"the operator wrote nothing in the undisturbed run: {place.operator.log}")
    return found


async def run(lab: Lab, place: Place, point: Point, reference: Reference) -> Result:
    """One point, at a new place or at one where another point of the scenario was run and passed."""
    place.note(str(point))
    log = str(place.operator.log)
    try:
        fault, seconds = await _steps(lab, place, point, reference)
    except _Unsettled as error:
        return Result(point, True, str(error), SETTLE_SECONDS, log)
    finally:
        place.proxy.disarm()
    often = place.proxy.told.too_often()
    problem = "\n".join(["told too often:", *often]) if often else None
    return Result(point, fault.struck.is_set(), problem, seconds, log)


class _Unsettled(Exception):
    """It did not come to the state that it should."""


async def _steps(lab: Lab, place: Place, point: Point, reference: Reference) -> tuple[Fault, float]:
    """Do them. The fault, and the seconds from where it struck to the end of that step."""
    fault, seconds, scenario = Fault(), 0.0, SCENARIOS[point.scenario]
    for number in range(scenario.armed if place.prepared else 0, len(scenario.steps)):
        if number == scenario.armed:
            place.prepared = True
            fault = point.make(place.hands)
            place.proxy.arm(fault)
        struck_before = fault.struck.is_set()
        await scenario.steps[number](lab.api, place.namespace.name)
        wanted = {} if point.vanishes else reference.states[number]
        if point.vanishes:
            await _struck(fault, SETTLE_SECONDS)
        settled_at = await _settled(place, wanted)
        last = number == len(scenario.steps) - 1
        if last and not fault.struck.is_set() and await _struck(fault, LATE_SECONDS):
            settled_at = await _settled(place, wanted)
        if fault.struck.is_set() and not struck_before:
            seconds = max(0.0, settled_at - fault.struck_at)
    return fault, seconds


async def _struck(fault: Fault, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(fault.struck.wait(), seconds)
    return fault.struck.is_set()


async def _stable(place: Place) -> None:
    """Wait until neither the operator nor the world has had anything to do for some passes."""
    began = changed_at = time.monotonic()
    looks = place.proxy.looks
    while (
        time.monotonic() - changed_at < STABLE_SECONDS
        or place.proxy.looks - looks < STABLE_PASSES
        or place.world.idle_at < changed_at
    ):
        await asyncio.sleep(0.1)
        last = max(began, place.proxy.wrote_at, place.world.acted_at)
        if last > changed_at:
            changed_at, looks = last, place.proxy.looks
        if time.monotonic() - began > SETTLE_SECONDS:
            raise _Unsettled("the undisturbed run does not come to an end")


async def _settled(place: Place, wanted: State) -> float:
    """Wait until the state is as wanted, and stays so although the operator has looked; since when it was."""
    since, deadline = 0.0, time.monotonic() + SETTLE_SECONDS
    while True:
        now = time.monotonic()
        found = await place.namespace.state(like=wanted if now < deadline else None)
        if found != wanted:
            since = 0.0
            if now > deadline:
                raise _Unsettled(difference(wanted, found))
        elif place.looked() and place.proxy.quiet(REST_SECONDS):
            since = since or now
            if now - since > REST_SECONDS:
                return since
        await asyncio.sleep(0.5)
