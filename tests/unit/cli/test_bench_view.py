"""What `rayspan bench` shows and writes: the screen verbatim, the picture, the page, the comparison."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from rayspan.cli.bench.histogram import bounds, columns, picture
from rayspan.cli.bench.page import page, svg
from rayspan.cli.bench.picture import picture as drawn
from rayspan.cli.bench.png import write_png
from rayspan.cli.bench.record import Bucket, Latency
from rayspan.cli.bench.view import comparison_view, view
from rich.console import Console, RenderableType

from tests.unit.cli.measured import benchmark, latency, level

SATURATED = benchmark(level(1, 100), level(4, 350), level(8, 360, failed=2, slower=2))


def shown(what: RenderableType) -> str:
    console = Console(width=150, highlight=False)
    with console.capture() as capture:
        console.print(what)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def of(*buckets: tuple[float, int]) -> Latency:
    seconds = buckets[-1][0]
    histogram = tuple(Bucket(up_to_seconds=up, count=count) for up, count in buckets)
    return Latency(
        p50_seconds=seconds, p95_seconds=seconds, p99_seconds=seconds, samples=1, histogram=histogram
    )


def test_a_histogram_as_text() -> None:
    powers = [(0.01 * 1.1**power, count) for power, count in enumerate((1, 4, 8, 2))]
    assert picture(of(*powers), width=8, height=2) == [
        "    ██",
        "▂▂████▄▄",
        "────────",
        "       ▲",
        "9.09ms 13.3ms",
    ]


def test_no_sample_is_lost_in_columns() -> None:
    several = [of((0.001, 3), (0.5, 4)), of((0.02, 2), (60.0, 1))]
    low, high = bounds(several)
    for most in (1, 7, 48, 500):
        assert [sum(columns(each, low, high, most)) for each in several] == [7, 3]


def test_one_bucket_is_one_column() -> None:
    low, high = bounds([of((0.02, 9))])
    assert columns(of((0.02, 9)), low, high, 48) == [9]


def test_the_screen() -> None:
    told = shown(view(SATURATED))
    assert told.startswith(
        """\
default/llama  TP2xPP2  512 tokens in, 128 out  2026-01-31T12:00:00Z  vllm bench serve 0.29.0
                                                   time to first token  inter-token latency   end to end
at a time  answered  failed  tokens/s  requests/s          p50 p95 p99          p50 p95 p99  p50 p95 p99  verdict
        1       100       0       100       0.781  100ms  200ms  300ms     20ms  40ms  60ms   2s  4s  6s  Engine
        4       100       0       350        2.73  100ms  200ms  300ms     20ms  40ms  60ms   2s  4s  6s  Engine
        8       100       2       360        2.81  200ms  400ms  600ms     20ms  40ms  60ms  4s  8s  12s  Engine

time to first token with 4 at a time: p50, p95, p99 100ms  200ms  300ms
"""
    )
    assert told.endswith(
        """
saturation: 4 requests at a time, 350 tokens/s: with 8 a doubling brings +3%, and p95 end to end goes from 4s to 8s.
Engine: The accelerators are the limit.
  - 7.5 requests wait in the engines on average.
  next: More replicas.
ray: 2.60.0
vllm: 0.29.0
accelerator: NVIDIA-H200"""
    )


def test_a_benchmark_that_ended_early_says_so_and_shows_what_there_is() -> None:
    told = shown(
        view(benchmark(level(1, 100), level(2, 0, requests=0, failed=9), problem="no request was answered"))
    )
    assert "        2         0       9         0           0                    -" in told
    assert "time to first token with 1 at a time" in told
    assert told.endswith("not all levels: no request was answered")


def test_two_side_by_side() -> None:
    other = benchmark(
        level(4, 420, slower=0.5), level(16, 500), environment={"ray": "2.60.0", "vllm": "0.32.0"}
    )
    told = shown(comparison_view(SATURATED, other))
    assert (
        told
        == """\
A: default/llama  2026-01-31T12:00:00Z
B: default/llama  2026-01-31T12:00:00Z
at a time                               A      B   B to A
        4  output tokens/s            350    420  +20.0 %
           time to first token p50  100ms   50ms  -50.0 %
           time to first token p95  200ms  100ms  -50.0 %
           time to first token p99  300ms  150ms  -50.0 %
           inter-token latency p50   20ms   20ms   +0.0 %
           inter-token latency p95   40ms   40ms   +0.0 %
           inter-token latency p99   60ms   60ms   +0.0 %
           end to end p50              2s     1s  -50.0 %
           end to end p95              4s     2s  -50.0 %
           end to end p99              6s     3s  -50.0 %
A saturation: 4 requests at a time, 350 tokens/s: with 8 a doubling brings +3%, and p95 end to end goes from 4s to 8s.
B saturation: 4 requests at a time, 420 tokens/s: with 16 a doubling brings +9%, and p95 end to end goes from 2s to 4s.
what differs  A            B
vllm          0.29.0       0.32.0
accelerator   NVIDIA-H200  -"""
    )


def test_unlike_loads_are_said_first_and_levels_that_only_one_has_are_left_out() -> None:
    longer = SATURATED.load.model_copy(update={"output_tokens": 256})
    told = shown(comparison_view(SATURATED, benchmark(level(2, 100), load=longer)))
    assert "not the same load: output tokens 128 and 256" in told
    assert "They have no level in common." in told
    assert "The environments are the same." in told


def test_the_page_stands_alone_and_shows_every_level() -> None:
    text = page(benchmark(level(1, 100), level(8, 300), diagnosis={"verdict": "<b>", "summary": "a & b"}))
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "") and "<script" not in text
    assert "&lt;b&gt;: a &amp; b" in text and "accelerator" in text
    root = ElementTree.fromstring(svg(drawn(SATURATED)))
    words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "saturation point: 4 at a time" in words and "200ms, 400ms, 600ms" in words
    # 9 histograms of three buckets each, and a dot per level; the ground is a rectangle too.
    assert len(list(root.iter("{http://www.w3.org/2000/svg}rect"))) == 9 * 3 + 3 + 1


def test_every_shape_lies_inside_the_picture() -> None:
    picture = drawn(SATURATED)
    root = ElementTree.fromstring(svg(picture))
    for each in root.iter():
        for key in ("x", "x1", "x2"):
            assert 0 <= float(each.get(key) or 0) <= picture.width
        for key in ("y", "y1", "y2"):
            assert 0 <= float(each.get(key) or 0) <= picture.height


def test_a_benchmark_without_an_answer_still_has_a_page() -> None:
    assert "No request was answered" in page(benchmark(level(1, 0, requests=0, failed=3)))


def test_the_png(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    assert write_png(drawn(SATURATED), tmp_path / "a.png")
    with image.open(tmp_path / "a.png") as read:
        assert read.size == (2 * drawn(SATURATED).width, 2 * drawn(SATURATED).height)
        assert len(read.getcolors(1 << 20)) > 3


def test_percentiles_of_a_level_are_marked_once_each() -> None:
    marks = next(line for line in picture(latency(0.1)) if "▲" in line)
    assert marks.count("▲") == 3
