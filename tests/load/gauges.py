"""What a measurement of an operator is made of: its process, what a watch tells of what it makes, quiet, and edits."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.api.direct import Direct, Kind, Object, place

PATIENCE_SECONDS: Final = 1800
SPACING_SECONDS: Final = 0.25
"""Between two edits."""
SLOW_SECONDS: Final = 1.0
"""An edit that takes longer is told."""
CALM_SECONDS: Final = 45
"""Without a write: then the quiet time begins. Looks that events asked for go on for a while after the last write."""
_WRITES: Final = re.compile(
    r'^apiserver_request_total\{.*resource="(?!leases)[^"]*".*verb="(POST|PUT|PATCH|APPLY|DELETE)"\} (\S+)$',
    re.M,
)


@dataclass
class Figures:
    """Of one operator."""

    name: str
    per_second: float
    latencies: list[float]
    """Seconds, sorted."""
    resident: tuple[float, float]
    """MiB in the end, and at the most."""
    writes_per_minute: float
    quiet_core: float
    """Share of a core in the quiet time."""
    core_seconds: float
    """Of its core, for each that it made: what another process takes of the core meanwhile does not count."""

    def row(self) -> str:
        """A line of the table in docs/performance.md."""
        p50, p95, p99 = (
            self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * q))] * 1e3
            for q in (0.5, 0.95, 0.99)
        )
        now, most = self.resident
        return (
            f"| {self.name} | {self.per_second:.1f} | {1 / self.core_seconds:.1f} | {p50:.0f} / {p95:.0f} / {p99:.0f} | {now:.0f} / {most:.0f} | "
            f"{self.writes_per_minute:.1f} | {self.quiet_core:.0%} |"
        )


class Process:
    """What /proc says of a process."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def resident(self) -> tuple[float, float]:
        """MiB now, and at the most."""
        text = (self._folder / "status").read_text()
        now, most = (re.search(rf"{name}:\s+(\d+) kB", text) for name in ("VmRSS", "VmHWM"))
        assert now and most
        return int(now[1]) / 1024, int(most[1]) / 1024

    def seconds(self) -> float:
        """Of a core, until now."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Seen:
    """The replicas of each object of a kind, as a watch tells them."""

    def __init__(self) -> None:
        self.replicas: dict[str, int] = {}
        self._news = asyncio.Event()

    def take(self, name: str, replicas: int) -> None:
        """What an event says."""
        self.replicas[name] = replicas
        self._news.set()

    async def until(self, happened: Any, what: str) -> None:
        """Wait for it."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not happened():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise SystemExit(f"not within {PATIENCE_SECONDS} s: {what}") from None


@contextmanager
def one_core() -> Iterator[None]:
    """Processes started here have the last core, and this one has it no more."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


async def writes(api: Direct) -> float:
    """Requests that changed, or could have changed something, since the API server's start."""
    return sum(float(count) for _, count in _WRITES.findall(await api.text("metrics")))


async def quiet(api: Direct, process: Process, seconds: float) -> tuple[float, float]:
    """Writes per minute and share of a core, once all that was begun has come to its end."""
    before, calm_since = await writes(api), time.monotonic()
    deadline = time.monotonic() + PATIENCE_SECONDS / 6
    while time.monotonic() - calm_since < CALM_SECONDS and time.monotonic() < deadline:
        await asyncio.sleep(3)
        if (now := await writes(api)) != before:
            before, calm_since = now, time.monotonic()
    began, spent = time.monotonic(), process.seconds()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    return (await writes(api) - before) * 60 / took, (process.seconds() - spent) / took


async def edited(
    api: Direct, kind: Kind, namespace: str, changes: dict[str, Any], seen: Seen, least: dict[str, int]
) -> list[float]:
    """Seconds from the answer to each change to what it brings about, sorted."""
    latencies = []
    for name, change in changes.items():
        await api.ask("PATCH", place(kind, namespace, name), change, "application/json-patch+json")
        began = time.monotonic()
        await seen.until(lambda name=name: seen.replicas[name] > least[name], f"the change of {name}")
        latencies.append(time.monotonic() - began)
        if latencies[-1] > SLOW_SECONDS:
            say(f"the change of {name} took {latencies[-1]:.1f} s")
        await asyncio.sleep(SPACING_SECONDS)
    return sorted(latencies)


async def watched(api: Direct, kind: Kind, namespace: str, take: Callable[[str, Object], None]) -> None:
    """Tell of all that a watch tells."""
    async for event in api.watch(kind, namespace):
        take(event["type"], event["object"])


def say(words: str) -> None:
    """Progress."""
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)
