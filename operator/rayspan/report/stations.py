"""Where the time of the window's requests went, station by station: the serving path, the engines, the stages.

A client's time is the path's (proxy, ingress, router and the hops between them) and the engine's. Both are sums of
exact counters over the same requests, so the means may be subtracted, as percentiles may not. A station that is
saturated shows in its queue: an event loop that wakes up late, requests that wait in an engine, stages that work all
the time (Little's law: what waits grows without bound as utilisation nears one).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from rayspan.report import stage_times, traffic
from rayspan.report.window import Window

PATH: Final = "ray_rayspan"
ENGINE: Final = "ray_rayspan_engine"
SENDING: Final = "ray_rayspan_sending_seconds_total"
PREEMPTIONS: Final = "ray_vllm_num_preemptions_total"
LAG_MS: Final = "ray_serve_event_loop_scheduling_latency_ms"
LOOPS: Final[Mapping[tuple[str, str], str]] = {
    ("proxy", ""): "proxy",
    ("replica", "OpenAiIngress"): "ingress",
}
"""Serve's event loops that requests pass before their engine, by the labels component and deployment."""


@dataclass(frozen=True)
class Mean:
    """A number of things, and how long each took on average."""

    number: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Engine:
    """One replica's, on average over the window."""

    running: float = 0.0
    waiting: float = 0.0
    cache: float = 0.0
    """Share of the KV cache in use."""
    answers: Mean = field(default_factory=Mean)


@dataclass(frozen=True)
class Stations:
    """The window's requests, by station. Times in seconds."""

    seconds: float
    """The window's."""
    first_token: Mean
    """Streams: from a request's arrival at the proxy to its first output."""
    engine_first_token: Mean
    """The same in the engines."""
    answer: Mean
    """Requests that ended well, from arrival to the last byte."""
    engine_answer: Mean
    sending: float
    """Waiting for clients to take what was sent, together."""
    lag: Mapping[str, float]
    """How late each kind of event loop wakes up: ``proxy``, ``ingress``; the worst of each."""
    engines: Mapping[str, Engine]
    """By the replica's id; those that run."""
    preemptions: float
    """Requests that lost their place in a KV cache."""
    stage_shares: tuple[float, ...]
    """Share of the time that each stage works, on average over the replicas; empty: not a pipeline, or not told."""
    stage_steps: float
    """Steps that the stages took, on average over stages and replicas."""
    missed: bool = False
    """Whether an objective is missed."""

    @property
    def path_first_token(self) -> float:
        """The path's part of a first token."""
        return max(0.0, self.first_token.seconds - self.engine_first_token.seconds)

    @property
    def path_answer(self) -> float:
        """The path's part of an answer."""
        return max(0.0, self.answer.seconds - self.engine_answer.seconds)


def stations(window: Window, replicas: Collection[str], stages: int) -> Stations | None:
    """Of a window; None where the serving image does not tell, or nothing was asked."""
    answer, engine_answer = _mean(window, PATH, "answers"), _mean(window, ENGINE, "answers")
    if not answer.number or not engine_answer.number or not replicas or window.seconds <= 0:
        return None
    worked, steps = stage_times.totals(window, stages if stages > 1 else 0)
    each = window.seconds * len(replicas)
    return Stations(
        seconds=window.seconds,
        first_token=_mean(window, PATH, "streams", "first_token_"),
        engine_first_token=_mean(window, ENGINE, "streams", "first_token_"),
        answer=answer,
        engine_answer=engine_answer,
        sending=_sum(window, SENDING),
        lag=_lag(window),
        engines={replica: _engine(window, replica) for replica in sorted(replicas)},
        preemptions=_sum(window, PREEMPTIONS),
        stage_shares=tuple(seconds / each for seconds in worked) if all(steps) else (),
        stage_steps=sum(steps) / len(steps) / len(replicas) if steps else 0.0,
    )


def _mean(window: Window, prefix: str, what: str, until: str = "", replica: str | None = None) -> Mean:
    number = _sum(window, f"{prefix}_{what}_total", replica)
    seconds = _sum(window, f"{prefix}_{what}_{until}seconds_total", replica)
    return Mean(number, seconds / number) if number else Mean()


def _sum(window: Window, metric: str, replica: str | None = None) -> float:
    return sum(
        amount
        for (name, labels), amount in window.counters.items()
        if name == metric and (replica is None or dict(labels).get(traffic.REPLICA_LABEL) == replica)
    )


def _engine(window: Window, replica: str) -> Engine:
    def level(metric: str) -> float:
        found = [
            value
            for (name, labels), value in window.levels.items()
            if name == metric and dict(labels).get("ReplicaId") == replica
        ]
        return sum(found)

    return Engine(
        running=level(traffic.RUNNING),
        waiting=level(traffic.WAITING),
        cache=level(traffic.KV_CACHE_USAGE),
        answers=_mean(window, ENGINE, "answers", replica=replica),
    )


def _lag(window: Window) -> dict[str, float]:
    """Seconds by kind of loop; of a process' several loops and of several processes the worst."""
    late: dict[str, float] = {}
    for (name, labels), milliseconds in window.counters.items():
        if name != f"{LAG_MS}_sum":
            continue
        number = window.counters.get((f"{LAG_MS}_count", labels), 0.0)
        tags = dict(labels)
        kind = LOOPS.get((tags.get("component", ""), tags.get("deployment", "")))
        if kind and number:
            late[kind] = max(late.get(kind, 0.0), milliseconds / number / 1e3)
    return late
