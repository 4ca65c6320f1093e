"""Many times in few numbers: vLLM's percentiles of them, and a histogram that fits into a pod's log."""

import math
from collections import Counter
from typing import Any

GROWTH = 1.1
"""Each bucket's upper bound is a tenth above the one before, as in the operator's own histograms."""
LEAST_SECONDS = 0.0001
"""What is less goes into one bucket: tokens that arrive together are 0 s apart."""


def latency(figures: dict[str, Any], short: str, samples: list[float]) -> dict[str, Any] | None:
    """Percentiles of `vllm bench serve` (milliseconds there) and the histogram; None without a sample."""
    if not samples:
        return None
    percentiles = {f"p{p}Seconds": round(figures[f"p{p}_{short}_ms"] / 1000, 6) for p in (50, 95, 99)}
    return {**percentiles, "samples": len(samples), "histogram": histogram(samples)}


def histogram(samples: list[float]) -> list[dict[str, float]]:
    """Buckets that hold something, upwards: the upper bound in seconds, inclusive, and how many."""
    counts = Counter(
        math.ceil(math.log(max(sample, LEAST_SECONDS)) / math.log(GROWTH) - 1e-9) for sample in samples
    )
    return [{"upToSeconds": round(GROWTH**power, 7), "count": counts[power]} for power in sorted(counts)]
