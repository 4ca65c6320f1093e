"""Reads histograms from pages in Prometheus' text format."""

import re
from collections import defaultdict


def buckets(name: str, before: str, after: str) -> list[tuple[float, float]]:
    """Cumulative counts of the time between two pages, summed over all series, by upper bound."""
    total: defaultdict[float, float] = defaultdict(float)
    for page, sign in ((before, -1.0), (after, 1.0)):
        for bound, count in re.findall(
            rf'^{name}_bucket{{[^\n]*le="([^"]+)"[^\n]*}} (\S+)$', page, re.MULTILINE
        ):
            total[float(bound.replace("+Inf", "inf"))] += sign * float(count)
    return sorted(total.items())


def quantile(share: float, cumulative: list[tuple[float, float]]) -> float:
    """Linear inside a bucket, as Prometheus' histogram_quantile."""
    rank = share * cumulative[-1][1]
    lower = below = 0.0
    for bound, count in cumulative:
        if count >= rank and count > below:
            return lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower
