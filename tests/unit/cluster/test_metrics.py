"""Of a metrics page only the wanted lines are kept, with what tells processes apart."""

from __future__ import annotations

import math

from rayspan.cluster.metrics import Page, Window
from rayspan.report.observed import Scrape

PAGE = r"""# HELP ray_rayspan_request_duration_seconds Duration.
# TYPE ray_rayspan_request_duration_seconds histogram
ray_rayspan_request_duration_seconds_bucket{NodeAddress="10.0.0.1",SessionName="s",WorkerId="w1",le="0.1"} 3.0
ray_rayspan_request_duration_seconds_bucket{NodeAddress="10.0.0.1",SessionName="s",WorkerId="w1",le="+Inf"} 5.0
ray_rayspan_request_duration_seconds_bucket{NodeAddress="10.0.0.1",SessionName="s",WorkerId="w1",le="0.01"} 1.0
ray_rayspan_request_duration_seconds_sum{WorkerId="w1"} 9.0
ray_rayspan_request_duration_seconds_count{WorkerId="w1"} 5.0
ray_rayspan_requests_total{WorkerId="w1",outcome="ok"} 5.0
ray_rayspan_requests_total{WorkerId="w1",outcome="error"} 2.0
ray_rayspan_requests_totally_else{WorkerId="w1"} 2.0
ray_vllm_num_requests_running{ReplicaId="a\"b\\c\nd",model_name="m{1}, 2"} 4.0
ray_vllm_kv_cache_usage_perc 0.5
ray_vllm_num_requests_waiting{ReplicaId="r"} NaN
ray_serve_http_request_latency_ms_bucket{le="1"} 7
ray_rayspan_output_tokens_total{WorkerId="w1"} not-a-number
"""


def scrape() -> Scrape:
    page = Page()
    for line in PAGE.encode().splitlines(keepends=True):
        page.read(line)
    return page.scrape(at=7.0, pod_uid="p")


def test_buckets_of_a_series_come_in_order() -> None:
    key = ("ray_rayspan_request_duration_seconds", (("WorkerId", "w1"),))
    histogram = scrape().histograms[key]
    assert histogram.bounds == (0.01, 0.1, math.inf)
    assert histogram.counts == (1.0, 3.0, 5.0)


def test_counters_and_gauges_keep_the_labels_that_tell_processes_apart() -> None:
    values = dict(scrape().values)
    assert ("ray_vllm_num_requests_waiting", (("ReplicaId", "r"),)) not in values, "it was never set"
    assert values == {
        ("ray_rayspan_requests_total", (("WorkerId", "w1"), ("outcome", "ok"))): 5.0,
        ("ray_rayspan_requests_total", (("WorkerId", "w1"), ("outcome", "error"))): 2.0,
        ("ray_vllm_num_requests_running", (("ReplicaId", 'a"b\\c\nd'), ("model_name", "m{1}, 2"))): 4.0,
        ("ray_vllm_kv_cache_usage_perc", ()): 0.5,
    }


def test_a_window_lets_old_scrapes_go() -> None:
    window = Window(seconds=300)
    for at in (0.0, 10.0, 305.0):
        window.add([Scrape(at=at, pod_uid="p")], now=at)
    assert [one.at for one in window.all()] == [10.0, 305.0]


def test_a_bound_is_known_among_labels_that_look_like_it() -> None:
    metric = "ray_rayspan_request_duration_seconds"
    page = Page()
    for bound, count in (("0.1", 1), ("+Inf", 2)):
        page.read(f'{metric}_bucket{{role="le=",le="{bound}",profile="a}}b"}} {count}.0'.encode())
    ((key, histogram),) = page.scrape(0.0, "p").histograms.items()
    assert key == (metric, (("profile", "a}b"), ("role", "le=")))
    assert (histogram.bounds, histogram.counts) == ((0.1, float("inf")), (1.0, 2.0))
