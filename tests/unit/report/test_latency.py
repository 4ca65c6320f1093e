"""Percentiles are true to 5 % of the samples they are taken of, however the samples come about."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import ceil
from typing import Any

import pytest
from rayspan.api.v1alpha1 import Objectives
from rayspan.report import durations, latency
from rayspan.report.observed import Histogram, Scrape
from rayspan.report.window import Window, merged

DISTRIBUTIONS: dict[str, Callable[[random.Random], float]] = {
    "log-normal around 50 ms": lambda r: min(r.lognormvariate(-3, 0.6), 599.0),
    "log-normal around 20 s": lambda r: min(r.lognormvariate(3, 0.8), 599.0),
    "uniform from 0.1 s to 30 s": lambda r: r.uniform(0.1, 30),
    "two peaks, 80 ms and 4 s": lambda r: r.gauss(0.08, 0.004) if r.random() < 0.93 else r.gauss(4, 0.1),
    "constant, just above a bound": lambda r: float(f"{0.001 * 1.09**54:.4g}") * 1.0001,
    "constant, on a bound": lambda r: float(f"{0.001 * 1.09**54:.4g}"),
    "heavy tail": lambda r: min(0.02 * r.paretovariate(1.3), 599.0),
}


def exact(samples: list[float], q: float) -> float:
    """The ``ceil(q * n)``-th smallest."""
    return sorted(samples)[max(ceil(round(q * len(samples), 6)), 1) - 1]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_percentiles_over_pods_restarts_and_missed_scrapes(world: Any, name: str, seed: int) -> None:
    draw = random.Random(f"{name} {seed}")
    in_window: list[float] = []
    scrapes: list[Scrape] = []
    for pod in range(draw.randint(1, 4)):
        worker, so_far = 0, [DISTRIBUTIONS[name](draw) for _ in range(draw.randint(0, 300))]
        for step in range(21):
            restarted = step > 0 and draw.random() < 0.1
            if restarted:
                worker, so_far = worker + 1, []
            if step:
                new = [DISTRIBUTIONS[name](draw) for _ in range(draw.randint(1, 40))]
                so_far = so_far + new
                in_window += new
            scrapes.append(world.scrape(world.now - 300 + 15 * step, so_far, f"pod-{pod}", f"w{worker}"))
            # A missed scrape loses nothing, unless the process ends before the next one.
            if step > 1 and not restarted and draw.random() < 0.15:
                del scrapes[-2]
    draw.shuffle(scrapes)
    now = latency.latency(Window.of(scrapes, world.now, 300, {}))
    assert now is not None
    assert (now.window, now.requests) == ("5m", len(in_window))
    for percentiles in (now.time_to_first_token, now.inter_token_latency, now.end_to_end):
        assert percentiles is not None
        for q, told in ((0.50, percentiles.p50), (0.95, percentiles.p95), (0.99, percentiles.p99)):
            assert told is not None
            assert durations.seconds(told) == pytest.approx(exact(in_window, q), rel=0.05)


def one(*counts: float) -> Histogram:
    return Histogram((0.1, 0.2, 0.4, float("inf")), counts)


def grown(world: Any, *pages: tuple[float, str, Histogram], born: dict[str, float] | None = None) -> float:
    """Requests counted over pages: seconds ago, pod, histogram of its only process."""
    scrapes = [
        Scrape(
            at=world.now - ago,
            pod_uid=pod,
            histograms={(latency.END_TO_END, (("WorkerId", "w"),)): histogram},
        )
        for ago, pod, histogram in pages
    ]
    total = Window.of(scrapes, world.now, 300, born or {}).histograms.get(latency.END_TO_END)
    return total.counts[-1] if total else 0.0


WINDOWS: dict[str, tuple[Callable[[Any], float], float]] = {
    "the first page of a pod is only a base line": (lambda w: grown(w, (0, "a", one(5, 5, 5, 5))), 0),
    "increases add up": (lambda w: grown(w, (30, "a", one(1, 1, 1, 1)), (0, "a", one(1, 3, 3, 3))), 2),
    "a lower count is a new process, all of it new": (
        lambda w: grown(w, (30, "a", one(5, 9, 9, 9)), (0, "a", one(2, 4, 4, 4))),
        4,
    ),
    "a lower bucket under a higher total is a new process too": (
        lambda w: grown(w, (30, "a", one(5, 5, 5, 5)), (0, "a", one(2, 9, 9, 9))),
        9,
    ),
    "a late pod that is old counts from its first page": (
        lambda w: grown(w, (60, "b", one(0, 0, 0, 0)), (30, "a", one(7, 7, 7, 7)), (0, "a", one(8, 8, 8, 8))),
        1,
    ),
    "a late pod that is new counts from nothing": (
        lambda w: grown(w, (60, "b", one(0, 0, 0, 0)), (0, "a", one(7, 7, 7, 7)), born={"a": w.now - 20}),
        7,
    ),
    "a page from before the window is left out": (
        lambda w: grown(
            w, (301, "a", one(0, 0, 0, 0)), (60, "a", one(5, 5, 5, 5)), (0, "a", one(6, 6, 6, 6))
        ),
        1,
    ),
}


@pytest.mark.parametrize("sentence", WINDOWS)
def test_window(world: Any, sentence: str) -> None:
    count, expected = WINDOWS[sentence]
    assert count(world) == expected


def test_a_process_that_is_missing_from_one_page_is_not_new_when_it_comes_back(world: Any) -> None:
    empty = Scrape(at=world.now - 15, pod_uid="p")
    before, after = world.scrape(world.now - 30, (0.2,) * 9, "p"), world.scrape(world.now, (0.2,) * 10, "p")
    now = latency.latency(Window.of([before, empty, after], world.now, 300, {}))
    assert now is not None and now.requests == 1


def test_a_process_that_appears_in_a_pod_that_was_read_before_is_new(world: Any) -> None:
    before, after = Scrape(at=world.now - 15, pod_uid="p"), world.scrape(world.now, (0.2,) * 10, "p")
    now = latency.latency(Window.of([before, after], world.now, 300, {}))
    assert now is not None and now.requests == 10


def test_without_scrapes_there_is_nothing_and_one_covers_no_time(world: Any) -> None:
    assert latency.latency(Window.of([], world.now, 300, {})) is None
    assert latency.latency(Window.of([world.scrape(world.now, (0.2,))], world.now, 300, {})) is None


def test_without_traffic_percentiles_are_absent_and_the_window_says_what_it_covers(world: Any) -> None:
    idle = [world.scrape(world.now - 47, (0.2,)), world.scrape(world.now - 2, (0.2,))]
    now = latency.latency(Window.of(idle, world.now, 300, {}))
    assert now is not None
    assert now.model_dump(exclude_none=True) == {
        "window": "45s",
        "requests": 0,
        "observed_at": "2027-01-15T07:59:58Z",
    }


QUANTILES = {
    "nothing was observed": (one(0, 0, 0, 0), 0.5, None),
    "a wide bucket is interpolated by rank": (one(0, 4, 4, 4), 0.5, 0.15),
    "the first bucket starts at 0": (one(4, 4, 4, 4), 0.25, 0.025),
    "above the last bound only the bound is known": (one(0, 0, 0, 3), 0.99, 0.4),
    "a fine bucket gives its geometric middle": (
        Histogram((1.0, 1.1, float("inf")), (0, 8, 8)),
        0.99,
        1.1**0.5,
    ),
    "a rank on a bucket's edge belongs to that bucket": (one(19, 20, 20, 20), 0.95, 0.1),
}


@pytest.mark.parametrize("sentence", QUANTILES)
def test_quantile(sentence: str) -> None:
    histogram, q, expected = QUANTILES[sentence]
    assert latency.quantile(histogram, q) == (None if expected is None else pytest.approx(expected))


def test_histograms_of_two_grids_are_merged_on_the_bounds_of_both() -> None:
    other = Histogram((0.2, 0.3, float("inf")), (4.0, 6.0, 7.0))
    both = merged([one(1, 3, 5, 6), other])
    assert both.bounds == (0.1, 0.2, 0.3, 0.4, float("inf"))
    assert both.counts == pytest.approx((1 + 2, 3 + 4, 4 + 6, 5 + 6, 6 + 7))


DURATIONS = {
    0.00083: "0.83ms",
    0.0834: "83.4ms",
    0.9996: "1s",
    1.2345: "1.23s",
    95.04: "95s",
    600.0: "600s",
    0.0: "0ms",
}


@pytest.mark.parametrize("value", DURATIONS)
def test_a_latency_has_three_digits_and_one_unit(value: float) -> None:
    assert durations.latency(value) == DURATIONS[value]
    assert durations.seconds(DURATIONS[value]) == pytest.approx(value, rel=0.01)


def test_spans_and_parsing() -> None:
    assert [durations.span(s) for s in (1, 44, 60, 284, 300)] == ["5s", "45s", "1m", "4m45s", "5m"]
    assert durations.seconds("1m30s") == 90
    assert durations.seconds("1.5s500ms") == 2
    for wrong in ("", "5", "5h", "s", "5 s"):
        with pytest.raises(ValueError, match="not a duration"):
            durations.seconds(wrong)


def test_objectives_are_held_against_the_percentiles_that_there_are(world: Any) -> None:
    objectives = Objectives.model_validate(
        {"timeToFirstToken": {"p50": "100ms", "p99": "1m"}, "endToEnd": {"p95": "150ms"}}
    )
    now = latency.latency(
        Window.of(world.scraped(world.serving(), (0.2,) * 9).observed.scrapes, world.now, 300, {})
    )
    assert now is not None
    assert latency.exceeded(objectives, now) == [
        "timeToFirstToken p50 is over 100ms",
        "endToEnd p95 is over 150ms",
    ]
    assert latency.judged(objectives, now) == 3
