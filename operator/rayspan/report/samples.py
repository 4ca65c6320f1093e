"""A deployment's status as numbers for Prometheus: what is not known is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from rayspan.api.v1alpha1 import LatencyStatus, Status, TrafficStatus
from rayspan.report import durations

PREFIX: Final = "rayspan_deployment"
HELP: Final = {
    "replicas_desired": "Whole pipelines that are wanted.",
    "replicas_ready": "Whole pipelines that answer, each stage where it belongs.",
    "condition": "1 for the status that the condition of this type has.",
    "diagnosis": "1 for the verdict that stands.",
    "latency_seconds": "Percentiles over the window of status.latency.",
    "requests_per_second": "Requests that ended.",
    "output_tokens_per_second": "Tokens generated.",
    "error_ratio": "Share of the requests that failed: 5xx, a time-out or a broken stream.",
    "requests_running": "Requests in the engines.",
    "requests_waiting": "Requests that wait in the engines.",
    "kv_cache_usage_ratio": "KV cache in use, in the fullest replica.",
    "balance_jain_ratio": "Jain's index of requests over replicas: 1 is even.",
    "suggestion_gain_ratio": "What the suggested cut would gain; absent: none is known.",
}
"""All names, without the prefix, and what they are; all are gauges."""

_LATENCIES: Final = ("time_to_first_token", "inter_token_latency", "end_to_end")
_QUANTILES: Final = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}


class Sample(NamedTuple):
    """One number."""

    name: str
    """A key of ``HELP``."""
    value: float
    labels: tuple[tuple[str, str], ...] = ()
    """Beside the namespace and the name of the deployment."""


def samples(status: Status) -> Iterator[Sample]:
    """All that is known."""
    if status.replicas:
        yield Sample("replicas_desired", status.replicas.desired)
        yield Sample("replicas_ready", status.replicas.ready)
    for condition in status.conditions or ():
        yield Sample("condition", 1, (("type", condition.type), ("status", condition.status)))
    if status.diagnosis:
        yield Sample("diagnosis", 1, (("verdict", status.diagnosis.verdict),))
    if status.plan and status.plan.suggestion:
        yield Sample("suggestion_gain_ratio", status.plan.suggestion.gain_percent / 100)
    if status.latency:
        yield from _latencies(status.latency)
    if status.traffic:
        yield from _traffic(status.traffic)


def _latencies(latency: LatencyStatus) -> Iterator[Sample]:
    for name in _LATENCIES:
        for percentile, value in getattr(latency, name) or ():
            if value is not None:
                labels = (("latency", name), ("quantile", _QUANTILES[percentile]))
                yield Sample("latency_seconds", durations.seconds(value), labels)


def _traffic(traffic: TrafficStatus) -> Iterator[Sample]:
    for name, value in (
        ("requests_per_second", traffic.requests_per_second),
        ("output_tokens_per_second", traffic.output_tokens_per_second),
        ("error_ratio", traffic.error_rate),
        ("requests_running", traffic.running),
        ("requests_waiting", traffic.waiting),
        ("kv_cache_usage_ratio", traffic.kv_cache_usage),
        ("balance_jain_ratio", traffic.balance.jain_index if traffic.balance else None),
    ):
        if value is not None:
            yield Sample(name, value)
