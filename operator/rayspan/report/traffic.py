"""Traffic over the latencies' window: rates from counters' increases, queues from gauges, shares by replica."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rayspan.api.v1alpha1 import BalanceStatus, TrafficStatus
from rayspan.report.durations import rounded
from rayspan.report.observed import Labels
from rayspan.report.window import Window

REQUESTS: Final = "ray_rayspan_requests_total"
OUTCOME_LABEL: Final = "outcome"
OUTCOME_ERROR: Final = "error"
OUTPUT_TOKENS: Final = "ray_rayspan_output_tokens_total"
RUNNING: Final = "ray_vllm_num_requests_running"
WAITING: Final = "ray_vllm_num_requests_waiting"
KV_CACHE_USAGE: Final = "ray_vllm_kv_cache_usage_perc"
REPLICA_LABEL: Final = "replica"
"""Label of the requests' counter that names the Serve replica that served; empty where none did. vLLM's own
count by replica is no better: it has the operator's probes in it."""
METRICS: Final = (REQUESTS, OUTPUT_TOKENS, RUNNING, WAITING, KV_CACHE_USAGE)


def traffic(window: Window, replicas: int) -> TrafficStatus | None:
    """The window's traffic; None as long as it covers no time.

    ``replicas``: replicas that run, so that one that never served a request counts in the balance.
    """
    if window.seconds <= 0:
        return None
    outcomes = _increases(window, REQUESTS)
    ended = sum(amount for _, amount in outcomes)
    failed = sum(amount for labels, amount in outcomes if dict(labels).get(OUTCOME_LABEL) == OUTCOME_ERROR)
    tokens = _increases(window, OUTPUT_TOKENS)
    running, waiting, usage = (window.gauges.get(name) for name in (RUNNING, WAITING, KV_CACHE_USAGE))
    return TrafficStatus(
        requests_per_second=rounded(ended / window.seconds) if outcomes else None,
        output_tokens_per_second=rounded(sum(amount for _, amount in tokens) / window.seconds)
        if tokens
        else None,
        running=round(sum(running)) if running else None,
        waiting=round(sum(waiting)) if waiting else None,
        error_rate=rounded(failed / ended) if ended else None,
        kv_cache_usage=rounded(max(usage)) if usage else None,
        balance=_balance(outcomes, replicas),
    )


def jain(amounts: Sequence[float]) -> float:
    """Jain's fairness index ``(sum x)^2 / (n * sum x^2)``: 1 when all are equal, 1/n when one has all.

    R. Jain, D. Chiu, W. Hawe, DEC-TR-301, 1984.
    """
    return sum(amounts) ** 2 / (len(amounts) * sum(amount**2 for amount in amounts))


def _balance(served: Sequence[tuple[Labels, float]], replicas: int) -> BalanceStatus | None:
    by_replica: dict[str, float] = {}
    for labels, amount in served:
        if replica := dict(labels).get(REPLICA_LABEL):
            by_replica[replica] = by_replica.get(replica, 0.0) + amount
    amounts = [by_replica[replica] for replica in sorted(by_replica)]
    amounts += [0.0] * (replicas - len(amounts))
    total = sum(amounts)
    if total <= 0:
        return None
    return BalanceStatus(
        jain_index=round(jain(amounts), 3), shares=[round(a / total, 3) for a in amounts][:1000]
    )


def _increases(window: Window, metric: str) -> list[tuple[Labels, float]]:
    return [(labels, amount) for (name, labels), amount in window.counters.items() if name == metric]
