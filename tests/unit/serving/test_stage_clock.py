"""The clock in a stage's worker: its own work, without what it waits for others."""

from __future__ import annotations

from collections.abc import Callable

from rayspan_serving.stage_clock import DeviceClock, HostClock, kind


class Recorder:
    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []

    def worked(self, kind: str, seconds: float) -> None:
        self.told.append((kind, round(seconds, 9)))


class Time:
    """A clock that stands still but for what is made of it."""

    def __init__(self) -> None:
        self.now = 0.0

    def passes(self, seconds: float) -> None:
        self.now += seconds


class Mark:
    """A mark in the stream of a device that runs behind the host."""

    def __init__(self, stream: Time, passed: Callable[[], bool]) -> None:
        self._stream, self._passed, self.at = stream, passed, 0.0

    def record(self) -> None:
        self.at = self._stream.now

    def query(self) -> bool:
        return self._passed()

    def elapsed_time(self, end: Mark) -> float:
        return (end.at - self.at) * 1e3


def test_on_the_host_waiting_is_not_work() -> None:
    time, recorder = Time(), Recorder()
    clock = HostClock(recorder, lambda: time.now)

    def step() -> str:
        time.passes(0.25)
        clock.wait(lambda: time.passes(5))
        time.passes(0.5)
        return "hidden states"

    assert clock.work("prefill", step) == "hidden states"
    assert clock.work("decode", lambda: time.passes(0.125)) is None
    assert recorder.told == [("prefill", 0.75), ("decode", 0.125)]


def test_on_a_device_work_is_told_once_it_is_done_and_begins_when_its_input_is_there() -> None:
    stream, recorder, done = Time(), Recorder(), False
    clock = DeviceClock(recorder, lambda: Mark(stream, lambda: done))

    def step() -> str:
        clock.wait(lambda: stream.passes(5))
        stream.passes(0.5)
        return "hidden states"

    assert clock.work("decode", step) == "hidden states"
    clock.work("decode", lambda: stream.passes(0.25))
    assert recorder.told == []
    done = True
    clock.work("decode", lambda: None)
    assert recorder.told == [("decode", 0.5), ("decode", 0.25)]


def test_a_step_that_adds_one_token_to_each_sequence_is_decode() -> None:
    assert kind(32, 32) == "decode"
    assert kind(33, 32) == "prefill"
