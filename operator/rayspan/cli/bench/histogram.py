"""A latency's histogram in columns, on a logarithmic scale; as text it is a picture for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, log
from typing import Final

from rayspan.cli.bench.record import Latency
from rayspan.report.durations import latency as told

BUCKET: Final = log(1.1)
"""Width of the recorded buckets (rayspan_serving.bench_figures)."""
_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_MARK: Final = "▲"


def bounds(latencies: Iterable[Latency]) -> tuple[float, float]:
    """Logarithms of the seconds between which all of them lie."""
    edges = [log(bucket.up_to_seconds) for latency in latencies for bucket in latency.histogram]
    return min(edges) - BUCKET, max(edges)


def columns(latency: Latency, low: float, high: float, most: int) -> list[int]:
    """Samples per column, at most so many columns of equal width between the bounds, none finer than a bucket."""
    number = column_count(low, high, most)
    counts = [0] * number
    for bucket in latency.histogram:
        middle = log(bucket.up_to_seconds) - BUCKET / 2
        counts[min(max(int((middle - low) / (high - low) * number), 0), number - 1)] += bucket.count
    return counts


def column_count(low: float, high: float, most: int) -> int:
    """How many columns :func:`columns` makes."""
    return max(min(most, round((high - low) / BUCKET)), 1)


def picture(latency: Latency, width: int = 64, height: int = 6) -> list[str]:
    """Lines of text: the columns, their axis with a mark under p50, p95 and p99, and the axis' ends."""
    low, high = bounds([latency])
    counts = columns(latency, low, high, width)
    each = max(width // len(counts), 1)
    eighths = [0 if not count else max(round(count / max(counts) * height * 8), 1) for count in counts]
    lines = [
        "".join(_EIGHTHS[min(max(filled - row * 8, 0), 8)] * each for filled in eighths).rstrip()
        for row in reversed(range(height))
    ]
    span = each * len(counts)
    marks = [" "] * span
    for seconds in (latency.p50_seconds, latency.p95_seconds, latency.p99_seconds):
        share = (log(max(seconds, exp(low))) - low) / (high - low)
        marks[min(max(int(share * span), 0), span - 1)] = _MARK
    ends = [told(exp(low)), told(exp(high))]
    axis = ends[0] + ends[1].rjust(max(span - len(ends[0]), len(ends[1]) + 1))
    return [*lines, "─" * span, "".join(marks).rstrip(), axis]
