"""How long a stage works on each step, without the time in which it waits for other stages.

A slow stage shows nowhere else: its neighbours' steps take as long as its own, for they wait for it.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

DECODE, PREFILL = "decode", "prefill"


class Recorder(Protocol):
    """What the clock tells; `stage_meter.StageMeter` is the real one."""

    def worked(self, kind: str, seconds: float) -> None: ...


class Event(Protocol):
    """A mark in a device's stream, as torch.Event."""

    def record(self) -> None: ...
    def query(self) -> bool: ...
    def elapsed_time(self, end: "Event", /) -> float: ...


class HostClock:
    """Where the work is done when the call returns: CPUs."""

    def __init__(self, recorder: Recorder, now: Callable[[], float] = time.perf_counter) -> None:
        self._recorder, self._now = recorder, now
        self._waited = 0.0

    def work(self, kind: str, call: Callable[[], Any]) -> Any:
        """Run a part of a step; it is told when the part is over."""
        began, self._waited = self._now(), 0.0
        answer = call()
        self._recorder.worked(kind, self._now() - began - self._waited)
        return answer

    def wait(self, call: Callable[[], Any]) -> Any:
        """Run what waits for another stage, within a part of a step."""
        began = self._now()
        try:
            return call()
        finally:
            self._waited += self._now() - began


class DeviceClock:
    """Where the call returns before the work is done: marks in the device's stream, read once they were passed,
    so that nothing ever waits for them. A part of a step begins when what it waits for is there."""

    def __init__(self, recorder: Recorder, event: Callable[[], Event]) -> None:
        self._recorder, self._event = recorder, event
        self._begin: Event | None = None
        self._passing: deque[tuple[str, Event, Event]] = deque()

    def work(self, kind: str, call: Callable[[], Any]) -> Any:
        """Run a part of a step; it is told at a later step, when the device got there."""
        self._tell()
        self._begin = self._mark()
        answer = call()
        self._passing.append((kind, self._begin, self._mark()))
        return answer

    def wait(self, call: Callable[[], Any]) -> Any:
        """Run what makes the stream wait for another stage: the part begins behind it."""
        answer = call()
        self._begin = self._mark()
        return answer

    def _mark(self) -> Event:
        mark = self._event()
        mark.record()
        return mark

    def _tell(self) -> None:
        while self._passing and self._passing[0][2].query():
            kind, begin, end = self._passing.popleft()
            self._recorder.worked(kind, begin.elapsed_time(end) / 1e3)


def kind(tokens: int, sequences: int) -> str:
    """Of a step with so many tokens of so many sequences: decode adds one to each."""
    return DECODE if tokens == sequences else PREFILL
