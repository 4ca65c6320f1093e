"""Two benchmarks side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rayspan.cli.bench.record import LATENCIES, Benchmark, Level


@dataclass(frozen=True)
class Row:
    """One figure of one level in both. Latencies are in seconds, where less is better."""

    concurrency: int
    figure: str
    first: float | None
    second: float | None
    is_latency: bool

    @property
    def percent(self) -> float | None:
        """By how much the second is above the first."""
        if not self.first or self.second is None:
            return None
        return (self.second / self.first - 1) * 100


@dataclass(frozen=True)
class Difference:
    """Something in which the two were made under other conditions."""

    field: str
    first: Any
    second: Any


def rows(first: Benchmark, second: Benchmark) -> list[Row]:
    """Every figure of the levels that both have, in the order of the first."""
    others = {level.concurrency: level for level in second.levels}
    return [
        row
        for level in first.levels
        if level.concurrency in others
        for row in _rows(level, others[level.concurrency])
    ]


def _rows(first: Level, second: Level) -> Iterator[Row]:
    yield Row(
        first.concurrency,
        "output tokens/s",
        first.output_tokens_per_second,
        second.output_tokens_per_second,
        is_latency=False,
    )
    for name, words in LATENCIES.items():
        one, other = first.latency(name), second.latency(name)
        for percentile in ("p50", "p95", "p99"):
            field = f"{percentile}_seconds"
            yield Row(
                first.concurrency,
                f"{words} {percentile}",
                getattr(one, field) if one else None,
                getattr(other, field) if other else None,
                is_latency=True,
            )


def unlike_loads(first: Benchmark, second: Benchmark) -> list[Difference]:
    """In what the loads differ such that the same level is not the same load."""
    fields = ("input_tokens", "output_tokens")
    found = [
        Difference(field.replace("_", " "), getattr(first.load, field), getattr(second.load, field))
        for field in fields
    ]
    return [each for each in found if each.first != each.second]


def unlike_environments(first: Benchmark, second: Benchmark) -> list[Difference]:
    """In what the environments differ: the records' fields, the cut, the replicas, the tool."""
    one, other = _environment(first), _environment(second)
    names = [*one, *(name for name in other if name not in one)]
    return [
        Difference(name, one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)
    ]


def _environment(benchmark: Benchmark) -> dict[str, Any]:
    own = {"layout": benchmark.layout, "replicas": benchmark.replicas, "tool": benchmark.tool}
    return {**own, **benchmark.environment}


def comparison(first: Benchmark, second: Benchmark) -> dict[str, Any]:
    """All of it for programs."""
    return {
        "levels": [
            {
                "concurrency": row.concurrency,
                "figure": f"{row.figure} seconds" if row.is_latency else row.figure,
                "a": row.first,
                "b": row.second,
                "percent": None if row.percent is None else round(row.percent, 2),
            }
            for row in rows(first, second)
        ],
        **{
            name: [{"field": each.field, "a": each.first, "b": each.second} for each in found]
            for name, found in (
                ("unlikeLoads", unlike_loads(first, second)),
                ("unlikeEnvironments", unlike_environments(first, second)),
            )
        },
    }
