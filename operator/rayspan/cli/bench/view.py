"""What `rayspan bench` shows when it is done: the levels, the latencies as pictures, what limits it, and where."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rayspan.cli.bench.compare import Difference, Row, rows, unlike_environments, unlike_loads
from rayspan.cli.bench.histogram import picture
from rayspan.cli.bench.record import LATENCIES, Benchmark, Latency, Level
from rayspan.cli.status_view import verdict
from rayspan.report.durations import latency as told

_NOISE_PERCENT = 5.0
"""A smaller difference is not coloured: two runs of the same differ by as much."""


def view(benchmark: Benchmark) -> RenderableType:
    """One benchmark."""
    meta, asked = benchmark.metadata, benchmark.load
    words = (
        f"{meta.namespace}/{meta.name}",
        benchmark.layout,
        f"{asked.input_tokens} tokens in, {asked.output_tokens} out",
        meta.created_at,
        benchmark.tool,
    )
    head = Text("  ".join(word for word in words if word), style="bold")
    parts: list[RenderableType] = [head, _levels(benchmark)]
    parts.extend(Text(line, style="yellow") for line in failures(benchmark))
    if (level := shown_level(benchmark)) is not None:
        parts.extend(_pictures(level))
    parts.append(Text(f"saturation: {benchmark.saturation.message}"))
    if (found := verdict({"diagnosis": benchmark.diagnosis})) is not None:
        parts.append(found)
    parts.extend(Text(f"{key}: {value}") for key, value in environment(benchmark))
    if benchmark.problem:
        parts.append(Text(f"not all levels: {benchmark.problem}", style="red"))
    return Group(*parts)


def shown_level(benchmark: Benchmark) -> Level | None:
    """The level at the saturation point, else the last that was answered."""
    answered = [level for level in benchmark.levels if level.requests]
    at = benchmark.saturation.concurrency
    return next((level for level in answered if level.concurrency == at), answered[-1] if answered else None)


def environment(benchmark: Benchmark) -> list[tuple[str, str]]:
    """The environment record, a line per field."""
    return [
        (key, " ".join(map(str, value)) if isinstance(value, list) else str(value))
        for key, value in benchmark.environment.items()
    ]


def failures(benchmark: Benchmark) -> list[str]:
    """A line per kind of failure and level."""
    return [
        f"{level.concurrency} at a time: {error.count} failed: {error.message}"
        for level in benchmark.levels
        for error in level.errors
    ]


def cells(level: Level) -> list[str]:
    """A level as a row of words: the columns are ``TITLES``."""
    return [
        str(level.concurrency),
        str(level.requests),
        str(level.failed),
        f"{level.output_tokens_per_second:.4g}",
        f"{level.requests_per_second:.3g}",
        *(percentiles(level.latency(name)) for name in LATENCIES),
        level.verdict or "-",
    ]


TITLES = (
    "at a time", "answered", "failed", "tokens/s", "requests/s", *LATENCIES.values(), "verdict",
)  # fmt: skip


def percentiles(latency: Latency | None) -> str:
    """p50, p95 and p99."""
    if latency is None:
        return "-"
    return "  ".join(told(value) for value in (latency.p50_seconds, latency.p95_seconds, latency.p99_seconds))


def _levels(benchmark: Benchmark) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in TITLES:
        of_latency = title in LATENCIES.values()
        last = title == TITLES[-1]
        table.add_column(
            f"{title}\np50 p95 p99" if of_latency else title,
            justify="left" if last else "right",
            no_wrap=of_latency,
        )
    for level in benchmark.levels:
        at = level.concurrency == benchmark.saturation.concurrency
        table.add_row(*cells(level), style="bold" if at else "")
    return table


def _pictures(level: Level) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for name, words in LATENCIES.items():
        latency = level.latency(name)
        if latency is not None:
            parts.append(
                Text(f"\n{words} with {level.concurrency} at a time: p50, p95, p99 {percentiles(latency)}")
            )
            parts.extend(Text(line) for line in picture(latency))
    return [*parts, Text("")]


def comparison_view(first: Benchmark, second: Benchmark) -> RenderableType:
    """Two of them side by side."""
    parts: list[RenderableType] = [
        Text(
            f"{letter}: {each.metadata.namespace}/{each.metadata.name}  {each.metadata.created_at}",
            style="bold",
        )
        for letter, each in (("A", first), ("B", second))
    ]
    parts.extend(
        Text(f"not the same load: {each.field} {each.first} and {each.second}", style="red")
        for each in unlike_loads(first, second)
    )
    found = rows(first, second)
    parts.append(_rows(found) if found else Text("They have no level in common.", style="red"))
    parts.extend(
        Text(f"{letter} saturation: {each.saturation.message}")
        for letter, each in (("A", first), ("B", second))
    )
    unlike = unlike_environments(first, second)
    parts.append(_differences(unlike) if unlike else Text("The environments are the same."))
    return Group(*parts)


def _rows(found: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("at a time", justify="right")
    table.add_column("")
    for title in ("A", "B", "B to A"):
        table.add_column(title, justify="right")
    before: int | None = None
    for row in found:
        concurrency = "" if row.concurrency == before else str(row.concurrency)
        before = row.concurrency
        table.add_row(
            concurrency, row.figure, _figure(row, row.first), _figure(row, row.second), _percent(row)
        )
    return table


def _figure(row: Row, value: float | None) -> str:
    if value is None:
        return "-"
    return told(value) if row.is_latency else f"{value:.4g}"


def _percent(row: Row) -> Text:
    if row.percent is None:
        return Text("-")
    better = row.percent < 0 if row.is_latency else row.percent > 0
    style = "" if abs(row.percent) < _NOISE_PERCENT else "green" if better else "red"
    return Text(f"{row.percent:+.1f} %", style=style)


def _differences(unlike: list[Difference]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("what differs", "A", "B"):
        table.add_column(title, overflow="fold")
    for each in unlike:
        table.add_row(
            each.field, *("-" if value is None else str(value) for value in (each.first, each.second))
        )
    return table
