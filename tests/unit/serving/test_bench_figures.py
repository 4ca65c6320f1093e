"""The histogram of a level: nothing is lost, and no value is outside its bucket."""

import pytest
from rayspan_serving.bench_figures import GROWTH, LEAST_SECONDS, histogram, latency

CASES: dict[str, tuple[list[float], list[tuple[float, int]]]] = {
    "none": ([], []),
    "one bucket holds its upper bound": ([1.0, 0.95], [(1.0, 2)]),
    "what is above goes into the next": ([1.0, 1.001], [(1.0, 1), (1.1, 1)]),
    "tokens that arrive together": ([0.0, 0.0], [(0.0001062, 2)]),
    "far apart, with nothing between": ([0.01, 10.0], [(0.0103074, 1), (10.8347059, 1)]),
}


@pytest.mark.parametrize(("samples", "expected"), CASES.values(), ids=list(CASES))
def test_buckets(samples: list[float], expected: list[tuple[float, int]]) -> None:
    assert [(bucket["upToSeconds"], bucket["count"]) for bucket in histogram(samples)] == expected


def test_every_value_is_in_its_bucket() -> None:
    for power in range(-90, 60):
        for value in (GROWTH**power, 1.03 * GROWTH**power):
            (bucket,) = histogram([value])
            assert (
                bucket["upToSeconds"] / GROWTH / 1.01
                < max(value, LEAST_SECONDS)
                < bucket["upToSeconds"] * 1.01
            )


def test_percentiles_are_the_tools_own_in_seconds() -> None:
    figures = {"p50_ttft_ms": 12.0, "p95_ttft_ms": 20.5, "p99_ttft_ms": 31.0}
    found = latency(figures, "ttft", [0.012])
    assert found is not None
    assert (found["p50Seconds"], found["p95Seconds"], found["p99Seconds"], found["samples"]) == (
        0.012,
        0.0205,
        0.031,
        1,
    )
    assert latency(figures, "ttft", []) is None
