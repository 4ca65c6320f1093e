"""What happened over a window of scrapes: the increase of every counter and histogram, and the gauges now.

A series is one metric with all its labels in one pod; its labels include those that tell processes apart.
Counters and cumulative buckets only grow while their process lives, so what is new in the window is the
sum of the increases between successive scrapes of a pod:

- A count lower than before, in any bucket, means that the process began again: what stands there now is
  all new.
- A series that appears after an earlier scrape of its pod had been read is a new process: all of it is new.
- The first scrape of a pod is a base line and counts nothing. Only a pod that was made after the window's
  first scrape began from nothing while we watched, so all of its first scrape is new.
- A missing scrape loses nothing: the next increase spans both. A series that is missing from one page is
  remembered, and not taken for new when it comes back.

Increases are added over series and pods, so percentiles are taken of the sum and never averaged.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import lt
from statistics import fmean
from typing import Final, TypeVar

from rayspan.report.observed import Histogram, Labels, Scrape

GAUGE_AGE: Final = 60.0
"""Seconds after which a pod's gauges no longer say what is so now."""

V = TypeVar("V")


@dataclass(frozen=True)
class Window:
    """Scrapes, reduced to what is new in them."""

    seconds: float = 0.0
    """The time that is covered: from the base line to the newest scrape; 0 with fewer than two."""
    until: float | None = None
    """When the newest scrape was taken; None without any."""
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    """By metric, over all series; a metric to which nothing was added is not there."""
    counters: Mapping[tuple[str, Labels], float] = field(default_factory=dict)
    """By metric and labels, over all pods; a series that stood still is there with 0."""
    gauges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """By metric, a value per series, from the newest page of each pod that was read a short while ago."""
    levels: Mapping[tuple[str, Labels], float] = field(default_factory=dict)
    """By metric and labels: the mean over all pages of what stood there. Meant for gauges."""

    @classmethod
    def of(cls, scrapes: Sequence[Scrape], at: float, seconds: float, born: Mapping[str, float]) -> Window:
        """The scrapes of the last ``seconds`` before ``at``.

        ``born``: when each pod was made, by its uid, as far as it is known.
        """
        used = sorted((scrape for scrape in scrapes if scrape.at >= at - seconds), key=lambda s: s.at)
        if not used:
            return cls()
        new_pods = {uid for uid, made in born.items() if made > used[0].at}
        histograms: dict[str, list[Histogram]] = {}
        for metric, _, first, last in _runs(used, new_pods, lambda s: s.histograms, _fell):
            if (grown := _grown(first, last)).counts[-1] > 0:
                histograms.setdefault(metric, []).append(grown)
        counters: dict[tuple[str, Labels], float] = {}
        for metric, labels, start, end in _runs(used, new_pods, lambda s: s.values, lt):
            counters[metric, labels] = counters.get((metric, labels), 0.0) + end - (start or 0.0)
        stood: dict[tuple[str, Labels], list[float]] = {}
        for scrape in used:
            for series, value in scrape.values.items():
                stood.setdefault(series, []).append(value)
        gauges: dict[str, list[float]] = {}
        for scrape in {scrape.pod_uid: scrape for scrape in used}.values():
            if scrape.at >= used[-1].at - GAUGE_AGE:
                for (metric, _), value in scrape.values.items():
                    gauges.setdefault(metric, []).append(value)
        return cls(
            seconds=used[-1].at - used[0].at,
            until=used[-1].at,
            histograms={metric: merged(parts) for metric, parts in histograms.items()},
            counters=counters,
            gauges={metric: tuple(values) for metric, values in gauges.items()},
            levels={series: fmean(values) for series, values in stood.items()},
        )


def merged(parts: Sequence[Histogram]) -> Histogram:
    """The sum of histograms. Where their bounds differ (two versions of an image), on all bounds of both."""
    if len({part.bounds for part in parts}) == 1:
        return Histogram(parts[0].bounds, tuple(map(sum, zip(*(part.counts for part in parts), strict=True))))
    bounds = tuple(sorted({bound for part in parts for bound in part.bounds}))
    return Histogram(bounds, tuple(sum(_up_to(part, bound) for part in parts) for bound in bounds))


def _runs(
    scrapes: Sequence[Scrape],
    new_pods: set[str],
    pick: Callable[[Scrape], Mapping[tuple[str, Labels], V]],
    fell: Callable[[V, V], bool],
) -> list[tuple[str, Labels, V | None, V]]:
    """Stretches of each series without a reset: metric, labels, value before (None: nothing), value after."""
    runs: dict[tuple[str, str, Labels], list[list[V | None]]] = {}
    latest: dict[tuple[str, str, Labels], V] = {}
    read: set[str] = set()
    for scrape in scrapes:
        pod = scrape.pod_uid
        watched = pod in read or pod in new_pods
        read.add(pod)
        for (metric, labels), value in pick(scrape).items():
            key = (pod, metric, labels)
            if key not in runs:
                runs[key] = [[None if watched else value, value]]
            elif fell(value, latest[key]):
                runs[key].append([None, value])
            else:
                runs[key][-1][1] = value
            latest[key] = value
    return [
        (metric, labels, first, last)
        for (_, metric, labels), stretches in runs.items()
        for first, last in stretches
        if last is not None
    ]


def _fell(now: Histogram, before: Histogram) -> bool:
    if now.counts == before.counts and now.bounds == before.bounds:
        return False
    return now.bounds != before.bounds or any(map(lt, now.counts, before.counts))


def _grown(first: Histogram | None, last: Histogram) -> Histogram:
    if first is None:
        return last
    return Histogram(last.bounds, tuple(n - o for n, o in zip(last.counts, first.counts, strict=True)))


def _up_to(histogram: Histogram, bound: float) -> float:
    """Observations up to ``bound``, spread evenly inside a bucket."""
    bounds, counts = histogram.bounds, histogram.counts
    above = bisect_left(bounds, bound)
    if above == len(bounds):
        return counts[-1]
    if bounds[above] == bound or bounds[above] == float("inf"):
        return counts[above] if bounds[above] == bound else counts[above - 1] if above else 0.0
    low, below = (bounds[above - 1], counts[above - 1]) if above else (0.0, 0.0)
    return below + (counts[above] - below) * (bound - low) / (bounds[above] - low)
