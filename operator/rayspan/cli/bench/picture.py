"""The picture of a benchmark as shapes: throughput over concurrency, then a histogram per level and latency.

SVG (page.py) and PNG (png.py) are two ways to draw the same shapes. A latency has one logarithmic scale for all levels,
so that their histograms stand under each other; coordinates are pixels, y downwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log, log2
from typing import Final, Literal

from rayspan.cli.bench.histogram import bounds, columns
from rayspan.cli.bench.record import LATENCIES, Benchmark, Latency, Level
from rayspan.report.durations import latency as told

WIDTH: Final = 1020
_LEFT, _CELL, _BETWEEN = 60, 290, 30
_TOP, _CURVE, _ROW, _BARS = 40, 220, 110, 70
INK, FAINT, BAR, MARK = "#222222", "#bbbbbb", "#4a7ab5", "#c0392b"


@dataclass(frozen=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    color: str


@dataclass(frozen=True)
class Line:
    """A line of one pixel."""

    x1: float
    y1: float
    x2: float
    y2: float
    color: str


@dataclass(frozen=True)
class Words:
    """A line of text; ``y`` is its base line."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    size: int = 12
    color: str = INK


Shape = Box | Line | Words


@dataclass(frozen=True)
class Picture:
    """Shapes on a white ground, to be drawn in order."""

    width: int
    height: int
    shapes: tuple[Shape, ...]


def picture(benchmark: Benchmark) -> Picture:
    """The whole picture."""
    answered = [level for level in benchmark.levels if level.requests]
    shapes: list[Shape] = [
        Words(_LEFT, 24, f"{benchmark.metadata.namespace}/{benchmark.metadata.name}", size=16)
    ]
    shapes.extend(_curve(answered, benchmark.saturation.concurrency) if answered else ())
    top = _TOP + _CURVE + 70
    for column, (name, words) in enumerate(LATENCIES.items()):
        left = _LEFT + column * (_CELL + _BETWEEN)
        shapes.append(Words(left, top - 12, f"{words}: p50, p95, p99", size=13))
        found = [(row, each) for row, level in enumerate(answered) if (each := level.latency(name))]
        low, high = bounds(each for _, each in found) if found else (0.0, 1.0)
        for row, each in found:
            shapes.extend(_histogram(each, left, top + row * _ROW, low, high))
    shapes.extend(
        Words(_LEFT - 10, top + row * _ROW + _BARS, str(level.concurrency), "end", 14)
        for row, level in enumerate(answered)
    )
    return Picture(WIDTH, top + len(answered) * _ROW, tuple(shapes))


def _curve(levels: list[Level], knee: int | None) -> Iterator[Shape]:
    """Output tokens per second over requests at a time, both from 0 or 1 upwards; the latter doubles."""
    bottom, right = _TOP + _CURVE, WIDTH - 30
    most = max(level.output_tokens_per_second for level in levels) or 1.0
    first, last = (log2(levels[end].concurrency) for end in (0, -1))

    def place(level: Level) -> tuple[float, float]:
        share = (log2(level.concurrency) - first) / (last - first) if last > first else 0.5
        return _LEFT + 20 + share * (right - _LEFT - 40), bottom - level.output_tokens_per_second / most * (
            _CURVE - 40
        )

    yield Line(_LEFT, bottom, right, bottom, FAINT)
    yield Words(_LEFT, _TOP + 12, "output tokens/s over requests at a time", size=13)
    for before, after in pairwise(levels):
        yield Line(*place(before), *place(after), BAR)
    for level in levels:
        x, y = place(level)
        color = MARK if level.concurrency == knee else BAR
        yield Box(x - 4, y - 4, 8, 8, color)
        yield Words(x, y - 10, f"{level.output_tokens_per_second:.4g}", "middle", color=color)
        yield Words(x, bottom + 16, str(level.concurrency), "middle", color=color)
    if knee is not None:
        yield Words(right, _TOP + 12, f"saturation point: {knee} at a time", "end", 13, MARK)


def _histogram(latency: Latency, left: float, top: float, low: float, high: float) -> Iterator[Shape]:
    """One cell: columns, a mark at each percentile, their words, and the scale's ends."""
    bottom = top + _BARS
    counts = columns(latency, low, high, most=48)
    width = _CELL / len(counts)
    for number, count in enumerate(counts):
        height = count / max(counts) * (_BARS - 16)
        if count:
            yield Box(left + number * width, bottom - max(height, 1), max(width - 1, 1), max(height, 1), BAR)
    yield Line(left, bottom, left + _CELL, bottom, FAINT)
    values = (latency.p50_seconds, latency.p95_seconds, latency.p99_seconds)
    for seconds in values:
        share = min(max((log(max(seconds, exp(low))) - low) / (high - low), 0.0), 1.0)
        yield Line(left + share * _CELL, top + 14, left + share * _CELL, bottom, MARK)
    yield Words(left, top + 8, ", ".join(told(seconds) for seconds in values), color=MARK)
    yield Words(left, bottom + 14, told(exp(low)), size=10)
    yield Words(left + _CELL, bottom + 14, told(exp(high)), "end", 10)
