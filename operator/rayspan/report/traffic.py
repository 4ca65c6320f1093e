"""Traffic over the latencies' window: rates from counters' increases, queues from gauges, shares by replica."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from rayspan.api.v1alpha1 import BalanceStatus, TrafficStatus
from rayspan.report.durations import rounded
from rayspan.report.observed import Labels
from rayspan.report.window import Window

REQUESTS: Final = "ray_rayspan_requests_total"
OUTCOME_LABEL: Final = "outcome"
OUTCOME_OK: Final = "ok"
OUTCOME_ERROR: Final = "error"
"""Ours: 5xx, a time-out, or a stream that broke."""
OUTCOME_REJECTED: Final = "rejected"
"""The client's: 4xx."""
OUTCOME_CANCELLED: Final = "cancelled"
"""The client went away before the answer was whole."""
OUTPUT_TOKENS: Final = "ray_rayspan_output_tokens_total"
RUNNING: Final = "ray_vllm_num_requests_running"
WAITING: Final = "ray_vllm_num_requests_waiting"
KV_CACHE_USAGE: Final = "ray_vllm_kv_cache_usage_perc"
REPLICA_LABEL: Final = "replica"
"""Label of the requests' counter that names the Serve replica that served; empty where none did. vLLM's own
count by replica is no better: it has the operator's probes in it."""
METRICS: Final = (REQUESTS, OUTPUT_TOKENS, RUNNING, WAITING, KV_CACHE_USAGE)


def traffic(window: Window, replicas: Collection[str]) -> TrafficStatus | None:
    """The window's traffic; None as long as it covers no time.

    ``replicas``: ids of the replicas that run. The balance is theirs: one that never served a request counts,
    one that is gone by now does not.
    """
    if window.seconds <= 0:
        return None
    requests = _increases(window, REQUESTS)
    outcomes = ended(window)
    total = sum(outcomes.values())
    tokens = _increases(window, OUTPUT_TOKENS)
    running, waiting, usage = (window.gauges.get(name) for name in (RUNNING, WAITING, KV_CACHE_USAGE))
    return TrafficStatus(
        requests_per_second=rounded(total / window.seconds) if requests else None,
        output_tokens_per_second=rounded(sum(amount for _, amount in tokens) / window.seconds)
        if tokens
        else None,
        running=round(sum(running)) if running else None,
        waiting=round(sum(waiting)) if waiting else None,
        error_rate=rounded(outcomes.get(OUTCOME_ERROR, 0.0) / total) if total else None,
        kv_cache_usage=rounded(max(usage)) if usage else None,
        balance=_balance(requests, replicas),
    )


def ended(window: Window) -> Mapping[str, float]:
    """Requests that ended in the window, by outcome; outcomes that none had are not there."""
    outcomes: dict[str, float] = {}
    for labels, amount in _increases(window, REQUESTS):
        if amount > 0:
            outcome = dict(labels).get(OUTCOME_LABEL, "")
            outcomes[outcome] = outcomes.get(outcome, 0.0) + amount
    return outcomes


def jain(amounts: Sequence[float]) -> float:
    """Jain's fairness index ``(sum x)^2 / (n * sum x^2)``: 1 when all are equal, 1/n when one has all.

    R. Jain, D. Chiu, W. Hawe, DEC-TR-301, 1984.
    """
    return sum(amounts) ** 2 / (len(amounts) * sum(amount**2 for amount in amounts))


def _balance(served: Sequence[tuple[Labels, float]], replicas: Collection[str]) -> BalanceStatus | None:
    by_replica = dict.fromkeys(sorted(replicas), 0.0)
    for labels, amount in served:
        replica = dict(labels).get(REPLICA_LABEL, "")
        if replica in by_replica:
            by_replica[replica] += amount
    amounts = list(by_replica.values())
    total = sum(amounts)
    if total <= 0:
        return None
    return BalanceStatus(
        jain_index=round(jain(amounts), 3), shares=[round(a / total, 3) for a in amounts][:1000]
    )


def _increases(window: Window, metric: str) -> list[tuple[Labels, float]]:
    return [(labels, amount) for (name, labels), amount in window.counters.items() if name == metric]
