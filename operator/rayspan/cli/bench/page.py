"""A benchmark as one HTML file: its tables, and the picture as SVG inside. It loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from rayspan.cli.bench.picture import Box, Line, Picture, Shape, picture
from rayspan.cli.bench.record import Benchmark
from rayspan.cli.bench.view import TITLES, cells, environment, failures

_STYLE = """
body { font: 14px system-ui, sans-serif; color: #222; max-width: 1060px; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 } td, th { padding: .2em .8em; text-align: right; white-space: pre }
th { border-bottom: 1px solid #bbb } td.words { text-align: left; white-space: normal }
tr.knee { font-weight: bold } svg { max-width: 100%; height: auto }
"""


def page(benchmark: Benchmark) -> str:
    """The whole file."""
    meta, asked = benchmark.metadata, benchmark.load
    title = escape(f"{meta.namespace}/{meta.name}, {meta.created_at}")
    found = benchmark.diagnosis
    said = [f"Saturation: {benchmark.saturation.message}"]
    if found:
        said.append(f"{found.get('verdict')}: {found.get('summary')}")
        said.extend(found.get("evidence") or ())
        said.append(f"Next: {found.get('action') or 'nothing.'}")
    said.extend(failures(benchmark))
    if benchmark.problem:
        said.append(f"Not all levels: {benchmark.problem}")
    load = f"{asked.input_tokens} tokens in, {asked.output_tokens} out, {benchmark.tool or 'tool unknown'}."
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>{title}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{title}</h1><p>{escape(load)}</p>",
            *(f"<p>{escape(line)}</p>" for line in said),
            _levels(benchmark),
            svg(picture(benchmark)),
            "<h2>Environment</h2>",
            _table((), [((key, value), "") for key, value in environment(benchmark)], words=True),
            "</body></html>\n",
        ]
    )


def svg(drawn: Picture) -> str:
    """The picture as SVG."""
    size = f'width="{drawn.width}" height="{drawn.height}" viewBox="0 0 {drawn.width} {drawn.height}"'
    shapes = "\n".join(_shape(shape) for shape in drawn.shapes)
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">\n{ground}\n{shapes}\n</svg>'


def _shape(shape: Shape) -> str:
    if isinstance(shape, Box):
        place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}"'
        return f'<rect {place} fill="{shape.color}"/>'
    if isinstance(shape, Line):
        place = f'x1="{shape.x1:.1f}" y1="{shape.y1:.1f}" x2="{shape.x2:.1f}" y2="{shape.y2:.1f}"'
        return f'<line {place} stroke="{shape.color}"/>'
    place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" text-anchor="{shape.anchor}" font-size="{shape.size}"'
    return f'<text {place} fill="{shape.color}">{escape(shape.text)}</text>'


def _levels(benchmark: Benchmark) -> str:
    knee = benchmark.saturation.concurrency
    return _table(
        TITLES, [(cells(level), "knee" if level.concurrency == knee else "") for level in benchmark.levels]
    )


def _table(titles: Iterable[str], rows: Iterable[tuple[Iterable[str], str]], words: bool = False) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    kind = ' class="words"' if words else ""
    body = "\n".join(
        f'<tr class="{style}">' + "".join(f"<td{kind}>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row, style in rows
    )
    return f"<table><tr>{head}</tr>\n{body}\n</table>"
