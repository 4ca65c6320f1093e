"""Latency percentiles of a window, from the HTTP proxies' histograms.

The q-quantile of n observations is the ``ceil(q * n)``-th smallest. The cumulative counts tell for certain
which bucket holds that observation, and nothing tells where in it. So the answer is the bucket's geometric
middle, ``sqrt(low * high)``: in a bucket 10 % wide it is off by at most ``sqrt(1.1) - 1 = 4.9 %``, whatever
the distribution. Their buckets are 9 % wide: 4.4 %, which leaves room for the rounding. Interpolation by rank, linear or geometric, assumes that observations fill the bucket
evenly. It is closer for smooth distributions, but engines with near-constant times put them all on one
spot, and then it is off by up to 10 % at p95 and p99, where the rank is high in the bucket.

A bucket wider than 10.25 % (the first one, which starts at 0, or another grid) cannot keep that promise
and is interpolated by rank, linearly. Above the last finite bound only "at least that" is known.
"""

from __future__ import annotations

from bisect import bisect_left
from math import ceil, inf, sqrt
from typing import Final

from rayspan.api.v1alpha1 import LatencyObjective, LatencyStatus, Objectives, Percentiles
from rayspan.report import durations
from rayspan.report.moments import timestamp
from rayspan.report.observed import Histogram
from rayspan.report.window import Window

TIME_TO_FIRST_TOKEN: Final = "ray_rayspan_time_to_first_token_seconds"
INTER_TOKEN_LATENCY: Final = "ray_rayspan_inter_token_latency_seconds"
END_TO_END: Final = "ray_rayspan_request_duration_seconds"
METRICS: Final = (TIME_TO_FIRST_TOKEN, INTER_TOKEN_LATENCY, END_TO_END)

_FINE: Final = 1.05**2
"""A bucket up to this wide has every point within 5 % of its geometric middle."""


def quantile(histogram: Histogram, q: float) -> float | None:
    """The ``q``-quantile in the histogram's unit; None without observations."""
    counts, bounds = histogram.counts, histogram.bounds
    total = counts[-1] if counts else 0.0
    if total <= 0:
        return None
    # Counts are whole numbers carried as floats: 0.95 * 20 must be 19 and not 19.000000000000004.
    rank = max(ceil(round(q * total, 6)), 1)
    index = min(bisect_left(counts, rank), len(counts) - 1)
    high = bounds[index]
    low, below = (bounds[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    if high == inf:
        return low
    if low > 0 and high / low <= _FINE:
        return sqrt(low * high)
    return low + (high - low) * (rank - below) / (counts[index] - below)


def latency(window: Window) -> LatencyStatus | None:
    """The window's latencies; None as long as it covers no time. Without requests there are no percentiles."""
    if window.until is None or window.seconds <= 0:
        return None
    ended = window.histograms.get(END_TO_END)
    return LatencyStatus(
        window=durations.span(window.seconds),
        requests=round(ended.counts[-1]) if ended else 0,
        time_to_first_token=_percentiles(window.histograms.get(TIME_TO_FIRST_TOKEN)),
        inter_token_latency=_percentiles(window.histograms.get(INTER_TOKEN_LATENCY)),
        end_to_end=_percentiles(ended),
        observed_at=timestamp(window.until),
    )


def exceeded(objectives: Objectives, now: LatencyStatus) -> list[str]:
    """The objectives that are not met, as ``timeToFirstToken p95 is over 500ms``."""
    return [
        f"{name} {percentile} is over {bound}"
        for name, percentile, bound, measured in _judged(objectives, now)
        if durations.seconds(measured) > durations.seconds(bound)
    ]


def judged(objectives: Objectives, now: LatencyStatus) -> int:
    """How many objectives there is a measurement for."""
    return len(_judged(objectives, now))


def bounds(objectives: Objectives | None) -> list[tuple[str, str, str]]:
    """The objectives that are set: latency, percentile, bound."""
    if objectives is None:
        return []
    named = (
        ("timeToFirstToken", objectives.time_to_first_token),
        ("interTokenLatency", objectives.inter_token_latency),
        ("endToEnd", objectives.end_to_end),
    )
    return [
        (name, percentile, bound)
        for name, objective in named
        for percentile, bound in _three(objective)
        if bound is not None
    ]


def _judged(objectives: Objectives, now: LatencyStatus) -> list[tuple[str, str, str, str]]:
    measured = {
        (name, percentile): value
        for name, percentiles in (
            ("timeToFirstToken", now.time_to_first_token),
            ("interTokenLatency", now.inter_token_latency),
            ("endToEnd", now.end_to_end),
        )
        for percentile, value in _three(percentiles)
        if value is not None
    }
    return [
        (name, percentile, bound, measured[name, percentile])
        for name, percentile, bound in bounds(objectives)
        if (name, percentile) in measured
    ]


def _three(of: Percentiles | LatencyObjective | None) -> list[tuple[str, str | None]]:
    return [("p50", of.p50), ("p95", of.p95), ("p99", of.p99)] if of else []


def _percentiles(histogram: Histogram | None) -> Percentiles | None:
    if histogram is None or histogram.counts[-1] <= 0:
        return None
    p50, p95, p99 = (quantile(histogram, q) for q in (0.50, 0.95, 0.99))
    return Percentiles(p50=_text(p50), p95=_text(p95), p99=_text(p99))


def _text(value: float | None) -> str | None:
    return None if value is None else durations.latency(value)
