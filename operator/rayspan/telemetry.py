"""What the operator tells of itself: metrics for Prometheus, log lines for people or collectors."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from rayspan.api.v1alpha1 import Status
from rayspan.report.samples import HELP, PREFIX, Sample, samples

_LAG_SECONDS: Final = 1.0

_about: Final = ContextVar[tuple[str, str] | None]("about", default=None)
"""Namespace and name of the deployment that is worked on; tasks that a pass starts inherit it."""


class Outcome:
    """How a pass ended."""

    def __init__(self) -> None:
        self.word = "done"

    def failed(self) -> None:
        """It raised."""
        self.word = "failed"


class Telemetry:
    """The operator's own metrics, and what its liveness is judged by."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._passes = Counter(
            "rayspan_passes_total",
            "Passes over a deployment, by how they ended.",
            ["outcome"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "rayspan_pass_duration_seconds",
            "Time that a pass took.",
            buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60),
            registry=self.registry,
        )
        self._lag = Gauge(
            "rayspan_loop_lag_seconds", "How late the event loop woke up last.", registry=self.registry
        )
        self._deployments = Gauge(
            "rayspan_deployments", "Deployments with a pass in the last minute.", registry=self.registry
        )
        self._leader = Gauge(
            "rayspan_leader",
            "1: this process works. 0: it stands by, while another one does.",
            registry=self.registry,
        )
        self._writes = Counter("rayspan_status_writes_total", "Statuses written.", registry=self.registry)
        self._samples: dict[tuple[str, str], tuple[Sample, ...]] = {}
        self.registry.register(_Deployments(self._samples))
        self._under_way: dict[tuple[str, str], float] = {}
        self._seen: dict[tuple[str, str], float] = {}
        self._loops: set[tuple[str, str]] = set()
        self._ended = self._clock()
        self._late = 0.0
        self.leading = False

    def leads(self, so: bool) -> None:
        """Whether this process works."""
        self.leading = so
        self._leader.set(so)

    def looping(self, key: tuple[str, str], so: bool) -> None:
        """A deployment's loop began, or ended."""
        if so and not self._loops:
            self._ended = self._clock()  # nothing was due before
        (self._loops.add if so else self._loops.discard)(key)

    @contextmanager
    def passing(self, key: tuple[str, str]) -> Iterator[Outcome]:
        """Around a pass."""
        started, outcome = self._clock(), Outcome()
        self._under_way[key] = started
        token = _about.set(key)
        try:
            yield outcome
        finally:
            _about.reset(token)
            del self._under_way[key]
            now = self._clock()
            self._seen[key] = self._ended = now
            self._seconds.observe(now - started)
            self._passes.labels(outcome.word).inc()

    def told(self, key: tuple[str, str], status: Status, written: bool) -> None:
        """What a pass found, and whether it was written."""
        self._samples[key] = tuple(samples(status))
        if written:
            self._writes.inc()

    def forget(self, key: tuple[str, str]) -> None:
        """A deployment is gone."""
        self._samples.pop(key, None)

    def oldest_pass_seconds(self) -> float:
        """Age of the pass that is under way for longest; 0: none is."""
        now = self._clock()
        return now - min(self._under_way.values(), default=now)

    def last_pass_seconds(self) -> float:
        """Time since a pass ended, of whichever deployment; 0: there is no deployment."""
        return self._clock() - self._ended if self._loops else 0.0

    def loop_lag_seconds(self) -> float:
        """How late the event loop woke up last."""
        return self._late

    async def watch_the_loop(self) -> None:
        """Measure how late the event loop wakes up, for ever."""
        while True:
            due = self._clock() + _LAG_SECONDS
            await asyncio.sleep(_LAG_SECONDS)
            now = self._clock()
            self._late = now - due
            self._lag.set(self._late)
            self._seen = {key: at for key, at in self._seen.items() if now - at < 60}
            self._deployments.set(len(self._seen))

    def serve(self, host: str, port: int) -> None:
        """Answer ``GET /metrics``, from a thread of its own."""
        if port:
            start_http_server(port, addr=host, registry=self.registry)


class _Deployments(Collector):
    """What the last passes found of each deployment, put together when it is asked for."""

    def __init__(self, found: Mapping[tuple[str, str], tuple[Sample, ...]]) -> None:
        self._samples = found

    def collect(self) -> Iterator[Metric]:
        """All deployments, metric by metric."""
        families: dict[str, GaugeMetricFamily] = {}
        for (namespace, name), found in list(self._samples.items()):
            for sample in found:
                keys, values = zip(("namespace", namespace), ("name", name), *sample.labels, strict=True)
                if sample.name not in families:
                    title = f"{PREFIX}_{sample.name}"
                    families[sample.name] = GaugeMetricFamily(title, HELP[sample.name], labels=keys)
                families[sample.name].add_metric(values, sample.value)
        yield from families.values()


class _JsonLines(logging.Formatter):
    """One JSON object a line; what is logged in a pass names its deployment, whoever logs it."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if about := _about.get():
            line["namespace"], line["name"] = about
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logs(log_format: str, level: str) -> None:
    """Log to standard error, in UTC; other libraries only what is worth a warning."""
    formatter: logging.Formatter = (
        _JsonLines()
        if log_format == "json"
        else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("rayspan").setLevel(level.upper())
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
