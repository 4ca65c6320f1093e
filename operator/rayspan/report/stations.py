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
from rayspan.report.observed import Labels
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
    def running(self) -> float:
        """Requests that run in an engine, on average over the engines."""
        return sum(engine.running for engine in self.engines.values()) / len(self.engines)

    @property
    def present(self) -> float:
        """Requests in an engine, on average over the engines: by Little's law, so that none is missed between two
        looks at the queues."""
        answer = self.engine_answer
        return answer.number * answer.seconds / self.seconds / len(self.engines)

    @property
    def waiting(self) -> float:
        """Requests that wait in an engine, on average over the engines."""
        return sum(engine.waiting for engine in self.engines.values()) / len(self.engines)

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
        engines=_engines(window, replicas),
        preemptions=_sum(window, PREEMPTIONS),
        stage_shares=tuple(seconds / each for seconds in worked) if all(steps) else (),
        stage_steps=sum(steps) / len(steps) / len(replicas) if steps else 0.0,
    )


def _mean(window: Window, prefix: str, what: str, until: str = "") -> Mean:
    number = _sum(window, f"{prefix}_{what}_total")
    seconds = _sum(window, f"{prefix}_{what}_{until}seconds_total")
    return Mean(number, seconds / number) if number else Mean()


def _sum(window: Window, metric: str) -> float:
    return sum(amount for (name, _), amount in window.counters.items() if name == metric)


def _engines(window: Window, replicas: Collection[str]) -> dict[str, Engine]:
    """Each replica's, in the order of their ids: the series are gone through once for all of them."""
    level = _by(window.levels, (traffic.RUNNING, traffic.WAITING, traffic.KV_CACHE_USAGE), "ReplicaId")
    number, seconds = f"{ENGINE}_answers_total", f"{ENGINE}_answers_seconds_total"
    answered = _by(window.counters, (number, seconds), traffic.REPLICA_LABEL)
    return {
        one: Engine(
            running=level.get((traffic.RUNNING, one), 0.0),
            waiting=level.get((traffic.WAITING, one), 0.0),
            cache=level.get((traffic.KV_CACHE_USAGE, one), 0.0),
            answers=Mean(many, answered.get((seconds, one), 0.0) / many)
            if (many := answered.get((number, one), 0.0))
            else Mean(),
        )
        for one in sorted(replicas)
    }


def _by(
    series: Mapping[tuple[str, Labels], float], metrics: Collection[str], label: str
) -> dict[tuple[str, str], float]:
    """Sums of these metrics by a label's value."""
    found: dict[tuple[str, str], float] = {}
    for (metric, labels), value in series.items():
        if metric in metrics:
            key = (metric, dict(labels).get(label, ""))
            found[key] = found.get(key, 0.0) + value
    return found


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
