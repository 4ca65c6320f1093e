"""Pages of the serving path, engines and stages, and what the stations and the diagnosis make of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rayspan.report.input import Input
from rayspan.report.observed import Labels, Scrape
from rayspan.report.stations import stations
from rayspan.report.status import status
from rayspan.report.window import Window

STEADY = "2026-11-01T00:00:00Z"


def page(at: float, share: float, *, queue: float = 0.0, lag_ms: float = 2.0) -> Scrape:
    """A page on which ``share`` of a minute's work is counted: 120 answers of 2.1 s, 2 s of it in the engine."""
    path: Labels = (("WorkerId", "p"), ("model", "tiny"))
    engine: Labels = (("WorkerId", "e"), ("replica", "r0"))
    gauge: Labels = (("ReplicaId", "r0"), ("WorkerId", "e"))
    loop: Labels = (("component", "proxy"), ("deployment", ""), ("loop_type", "main"))
    other: Labels = (("component", "controller"), ("deployment", ""), ("loop_type", "main"))
    grown: dict[tuple[str, Labels], float] = {
        ("ray_rayspan_requests_total", (("outcome", "ok"), ("replica", "r0"))): 120.0,
        ("ray_rayspan_streams_total", path): 120.0,
        ("ray_rayspan_streams_first_token_seconds_total", path): 120 * 0.25,
        ("ray_rayspan_answers_total", path): 120.0,
        ("ray_rayspan_answers_seconds_total", path): 120 * 2.1,
        ("ray_rayspan_sending_seconds_total", path): 1.5,
        ("ray_rayspan_engine_streams_total", engine): 122.0,
        ("ray_rayspan_engine_streams_first_token_seconds_total", engine): 122 * 0.2,
        ("ray_rayspan_engine_answers_total", engine): 122.0,
        ("ray_rayspan_engine_answers_seconds_total", engine): 122 * 2.0,
        ("ray_serve_event_loop_scheduling_latency_ms_sum", loop): 12 * lag_ms,
        ("ray_serve_event_loop_scheduling_latency_ms_count", loop): 12.0,
        ("ray_serve_event_loop_scheduling_latency_ms_sum", other): 12 * 900.0,
        ("ray_serve_event_loop_scheduling_latency_ms_count", other): 12.0,
        **{
            (f"ray_rayspan_stage_{what}_total", (("kind", kind), ("stage", str(stage)))): amount
            for stage, seconds in ((0, 30.0), (1, 42.0))
            for kind, part in (("decode", 0.9), ("prefill", 0.1))
            for what, amount in (("seconds", seconds * part), ("steps", 1000.0 * part))
        },
    }
    values = {series: amount * share for series, amount in grown.items()}
    values["ray_vllm_num_requests_running", gauge] = 4.0
    values["ray_vllm_num_requests_waiting", gauge] = queue
    values["ray_vllm_kv_cache_usage_perc", gauge] = 0.25
    return Scrape(at, "tiny-stage-0-0", values=values)


def window(**more: float) -> Window:
    return Window.of((page(0, 0, **more), page(60, 1, **more)), 60, 300, {})


def test_the_time_of_requests_by_station() -> None:
    found = stations(window(queue=3.0), ["r0"], 2)
    assert found is not None
    assert found.path_first_token == pytest.approx(0.05)
    assert found.path_answer == pytest.approx(0.1)
    assert found.answer.number == 120
    assert found.sending == 1.5
    assert found.lag == {"proxy": pytest.approx(0.002)}
    assert found.engines["r0"].waiting == 3.0
    assert found.engines["r0"].answers.seconds == pytest.approx(2.0)
    assert found.stage_shares == pytest.approx((0.5, 0.7))
    assert found.stage_steps == pytest.approx(1000)


def test_an_engine_that_never_answered_counts_too() -> None:
    found = stations(window(), ["r0", "r1"], 2)
    assert found is not None
    assert found.engines["r1"].running == 0
    assert found.stage_shares == pytest.approx((0.25, 0.35))


def test_without_requests_or_with_an_older_image_nothing_is_said() -> None:
    assert stations(Window(), ["r0"], 2) is None
    assert stations(window(), [], 2) is None
    still = Window.of((page(0, 1), page(60, 1)), 60, 300, {})
    assert stations(still, ["r0"], 2) is None


def loaded(
    world: Any, ready_since: str = STEADY, objectives: dict[str, Any] | None = None, **more: float
) -> Input:
    """A deployment under load for a minute, Ready since then."""
    given = world.serving(**({"objectives": objectives} if objectives else {}))
    requests = world.scrape(world.now, (2.1,) * 120)
    pages = (
        replace(
            page(world.now - 60, 0, **more),
            histograms={k: replace(h, counts=(0.0,) * len(h.counts)) for k, h in requests.histograms.items()},
        ),
        replace(page(world.now, 1, **more), histograms=requests.histograms),
    )
    given = world.seen(given, scrapes=pages)
    old = status(given)
    turned = [c.model_copy(update={"last_transition_time": ready_since}) for c in old.conditions or ()]
    after = world.after(given, old.model_copy(update={"conditions": turned}))
    assert isinstance(after, Input)
    return after


def test_a_queue_is_the_engine_s_and_without_one_all_is_well(world: Any) -> None:
    queued = status(loaded(world, queue=5.0)).diagnosis
    assert queued is not None and queued.verdict == "Engine"
    assert queued.evidence == [
        "An answer takes 2.1s, 2s of it in the engine; a first token 250ms, 200ms of it in the engine.",
        "Requests in the engines on average: r0 4.0 running and 5.0 waiting.",
        "The stages work 50% and 70% of the time.",
    ]
    calm = status(loaded(world)).diagnosis
    assert calm is not None
    assert (calm.verdict, calm.summary) == ("Healthy", "No station on the way is at its limit.")


def test_objectives_that_are_met_need_no_reason_and_those_missed_have_one(world: Any) -> None:
    met = status(loaded(world, objectives={"endToEnd": {"p99": "20s"}}, queue=5.0)).diagnosis
    assert met is not None and met.summary == "Every objective is met."
    missed = status(loaded(world, objectives={"endToEnd": {"p99": "1s"}})).diagnosis
    assert missed is not None and missed.verdict == "Engine"
    assert missed.evidence is not None and missed.evidence[0].startswith(
        "An answer takes 2.1s, 2s of it in the engine"
    )


def test_what_has_just_begun_to_serve_is_cold(world: Any) -> None:
    found = status(loaded(world, ready_since="2027-01-15T07:59:30Z", queue=5.0)).diagnosis
    assert found is not None and found.verdict == "ColdStart"
