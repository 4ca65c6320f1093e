"""The saturation point: the level from which on more requests at a time bring (almost) no more tokens.

In a closed system with N requests in flight, throughput X and time R of a request, N = X R (Little's law). Below
saturation R stays and X grows with N; above it X stays at the bottleneck's rate and R grows with N, so a request more
only waits (Lazowska et al., Quantitative System Performance, chapter 5: asymptotic bounds; their crossing is the knee).
Levels need not double, so the gain from one level to the next is put per doubling:

    gain = (X2 / X1) ** (1 / log2(N2 / N1)) - 1        100 %: it scales fully, 0 %: nothing is gained

The saturation point is the last level before the first step with a gain below 10 %. A level in which more than 5 % of
the requests failed counts as such a step: what it answers is no throughput that one can have.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log2
from typing import Final

from rayspan.cli.bench.record import Level, Saturation
from rayspan.plan.words import count
from rayspan.report.durations import latency

LEAST_GAIN: Final = 0.10
MOST_FAILED: Final = 0.05


def saturation(levels: Sequence[Level]) -> Saturation:
    """Where it is, in a sentence; levels by rising concurrency."""
    measured = [level for level in levels if level.requests]
    if not measured:
        return Saturation(concurrency=None, message="No request was answered: nothing can be told.")
    if _fails(measured[0]):
        share = f"{_failed(measured[0]):.0%} of the requests failed"
        return Saturation(
            concurrency=None,
            message=f"With {measured[0].concurrency} at a time {share} already: see why they failed.",
        )
    for before, after in pairwise(measured):
        gain = _gain(before, after)
        if gain < LEAST_GAIN or _fails(after):
            return Saturation(concurrency=before.concurrency, message=_reached(before, after, gain))
    last = measured[-1]
    if len(measured) == 1:
        return Saturation(
            concurrency=None, message="One level tells no saturation point: give more --levels."
        )
    gain = _gain(measured[-2], last)
    return Saturation(
        concurrency=None,
        message=f"Not reached: with {last.concurrency} at a time each doubling still brings {gain:.0%} more tokens/s. "
        f"Go on with --levels {last.concurrency},{2 * last.concurrency},{4 * last.concurrency}.",
    )


def _reached(before: Level, after: Level, gain: float) -> str:
    words = (
        f"{count(before.concurrency, 'request')} at a time, {before.output_tokens_per_second:.4g} tokens/s: with "
        f"{after.concurrency} a doubling brings {gain:+.0%}"
    )
    if before.end_to_end and after.end_to_end:
        first, second = latency(before.end_to_end.p95_seconds), latency(after.end_to_end.p95_seconds)
        words += f", and p95 end to end goes from {first} to {second}"
    return f"{words}; {_failed(after):.0%} of the requests failed." if _fails(after) else f"{words}."


def _gain(before: Level, after: Level) -> float:
    if before.output_tokens_per_second <= 0:
        return 0.0
    ratio = after.output_tokens_per_second / before.output_tokens_per_second
    return float(ratio ** (1 / log2(after.concurrency / before.concurrency))) - 1


def _failed(level: Level) -> float:
    return level.failed / (level.failed + level.requests)


def _fails(level: Level) -> bool:
    return _failed(level) > MOST_FAILED
