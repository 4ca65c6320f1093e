"""The metrics pages of Ray's pods (port 8080): the wanted lines only, streamed, never a page in memory.

A page of a busy node has tens of thousands of lines; a line is looked at only if it begins with a wanted
name. Ray's pages have no timestamps and no exemplars, and escape in label values only ``\\\\``, ``\\"`` and
``\\n``.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import aiohttp

from rayspan.render import names
from rayspan.report.observed import Histogram, Labels, PodView, Scrape

HISTOGRAMS: Final = (
    "ray_rayspan_time_to_first_token_seconds",
    "ray_rayspan_inter_token_latency_seconds",
    "ray_rayspan_request_duration_seconds",
)
VALUES: Final = (
    "ray_rayspan_requests_total",
    "ray_rayspan_output_tokens_total",
    "ray_rayspan_streams_total",
    "ray_rayspan_streams_first_token_seconds_total",
    "ray_rayspan_answers_total",
    "ray_rayspan_answers_seconds_total",
    "ray_rayspan_sending_seconds_total",
    "ray_rayspan_engine_streams_total",
    "ray_rayspan_engine_streams_first_token_seconds_total",
    "ray_rayspan_engine_answers_total",
    "ray_rayspan_engine_answers_seconds_total",
    "ray_rayspan_stage_seconds_total",
    "ray_rayspan_stage_steps_total",
    "ray_rayspan_fetched_bytes",
    "ray_vllm_num_requests_running",
    "ray_vllm_num_requests_waiting",
    "ray_vllm_kv_cache_usage_perc",
    "ray_vllm_num_preemptions_total",
    "ray_serve_event_loop_scheduling_latency_ms_sum",
    "ray_serve_event_loop_scheduling_latency_ms_count",
)

_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_NAMES: Final = {name.encode(): name for name in VALUES} | {
    f"{name}_bucket".encode(): name for name in HISTOGRAMS
}
_PREFIXES: Final = tuple(sorted({name[:12] for name in _NAMES}))
_LABELS_NOT_KEPT: Final = frozenset({"NodeAddress", "SessionName", "Version"})


@dataclass
class Page:
    """What is kept of one page while it is read."""

    buckets: dict[tuple[str, Labels], dict[float, float]] = field(default_factory=dict)
    values: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def read(self, line: bytes) -> None:
        """Take a line in; lines that are not wanted are dropped at the first look."""
        if not line.startswith(_PREFIXES):
            return
        brace, close = line.find(b"{"), line.rfind(b"}")
        name = _NAMES.get(line[:brace] if brace >= 0 else line.partition(b" ")[0])
        if name is None:
            return
        try:
            value = float(line[close + 1 :] if brace >= 0 else line.partition(b" ")[2])
            if not math.isfinite(value):
                return  # a gauge that was never set
            raw = line[brace + 1 : close] if brace >= 0 else b""
            if name in HISTOGRAMS:
                before, _, after = (b"," + raw).partition(b',le="')
                bound, _, rest = after.partition(b'"')
                self.buckets.setdefault((name, _labels(before + rest)), {})[float(bound)] = value
            else:
                self.values[name, _labels(raw)] = value
        except ValueError:
            return

    def scrape(self, at: float, pod_uid: str) -> Scrape:
        """The page as the report reads it."""
        histograms: Mapping[tuple[str, Labels], Histogram] = {
            key: Histogram(*(tuple(column) for column in zip(*sorted(cumulative.items()), strict=True)))
            for key, cumulative in self.buckets.items()
        }
        return Scrape(at=at, pod_uid=pod_uid, histograms=histograms, values=self.values)


@lru_cache(maxsize=2**16)
def _labels(raw: bytes) -> Labels:
    """The labels that are kept, sorted. The buckets of a histogram share them, and a page has the same each time."""
    found = _LABEL.findall(raw.decode(errors="replace"))
    return tuple(sorted((key, _unescaped(value)) for key, value in found if key not in _LABELS_NOT_KEPT))


def _unescaped(value: str) -> str:
    if "\\" not in value:
        return value
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)


async def scrape_pods(
    session: aiohttp.ClientSession, pods: Iterable[PodView], at: float, timeout_seconds: float
) -> tuple[Scrape, ...]:
    """Pages of all pods that have an address, read at the same time; those that do not answer are left out."""
    reads = [_scrape(session, pod, at, timeout_seconds) for pod in pods if pod.ip and not pod.terminating]
    return tuple(scrape for scrape in await asyncio.gather(*reads) if scrape is not None)


async def _scrape(
    session: aiohttp.ClientSession, pod: PodView, at: float, timeout_seconds: float
) -> Scrape | None:
    page = Page()
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with session.get(f"http://{pod.ip}:{names.METRICS_PORT}/metrics", timeout=timeout) as response:
            if response.status != 200:
                return None
            rest = b""
            async for piece in response.content.iter_any():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    page.read(line)
            page.read(rest)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
    return page.scrape(at, pod.uid)


class Window:
    """Scrapes of the last ``seconds``, oldest first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._scrapes: deque[Scrape] = deque()

    def add(self, scrapes: Iterable[Scrape], now: float) -> None:
        """Take new scrapes in and let old ones go."""
        self._scrapes.extend(scrapes)
        while self._scrapes and self._scrapes[0].at < now - self._seconds:
            self._scrapes.popleft()

    def all(self) -> tuple[Scrape, ...]:
        """All that is held."""
        return tuple(self._scrapes)
