"""Benchmarks to look at: levels with few, round numbers."""

from __future__ import annotations

from typing import Any

from rayspan.cli.bench.record import Benchmark, Bucket, Latency, Level, Load, Metadata
from rayspan.cli.bench.saturation import saturation

ENVIRONMENT: dict[str, Any] = {"ray": "2.60.0", "vllm": "0.29.0", "accelerator": "NVIDIA-H200"}
DIAGNOSIS: dict[str, Any] = {
    "verdict": "Engine",
    "summary": "The accelerators are the limit.",
    "evidence": ["7.5 requests wait in the engines on average."],
    "action": "More replicas.",
    "since": "2026-01-31T12:00:00Z",
}


def latency(p50: float, p95: float | None = None, p99: float | None = None) -> Latency:
    """Three buckets: most samples up to p50."""
    values = (p50, p95 or 2 * p50, p99 or 3 * p50)
    buckets = tuple(
        Bucket(up_to_seconds=value, count=count) for value, count in zip(values, (60, 35, 5), strict=True)
    )
    return Latency(
        p50_seconds=values[0], p95_seconds=values[1], p99_seconds=values[2], samples=100, histogram=buckets
    )


def level(
    concurrency: int, tokens: float, requests: int = 100, failed: int = 0, slower: float = 1.0
) -> Level:
    answered = requests > 0
    return Level(
        concurrency=concurrency,
        requests=requests,
        failed=failed,
        unsent=0,
        seconds=30.0,
        requests_per_second=tokens / 128,
        output_tokens_per_second=tokens,
        time_to_first_token=latency(0.1 * slower) if answered else None,
        inter_token_latency=latency(0.02) if answered else None,
        end_to_end=latency(2.0 * slower) if answered else None,
        verdict="Engine",
    )


def benchmark(*levels: Level, **other: Any) -> Benchmark:
    load = Load(
        levels=tuple(each.concurrency for each in levels),
        requests=tuple(100 for _ in levels),
        seconds=60, input_tokens=512, output_tokens=128, seed=7,
    )  # fmt: skip
    fields = {
        "metadata": Metadata(name="llama", namespace="default", created_at="2026-01-31T12:00:00Z"),
        "load": load,
        "tool": "vllm bench serve 0.29.0",
        "layout": "TP2xPP2",
        "replicas": 2,
        "environment": ENVIRONMENT,
        "levels": levels,
        "saturation": saturation(levels),
        "diagnosis": DIAGNOSIS,
    }
    return Benchmark(**{**fields, **other})
