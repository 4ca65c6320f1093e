"""What the stages' workers count, and when a better split is told, kept and taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rayspan.api.v1alpha1 import Status
from rayspan.plan.model_facts import recorded
from rayspan.report.input import Input
from rayspan.report.observed import Labels, Scrape
from rayspan.report.stage_times import SECONDS, STEPS, prompt_seconds, stage_seconds
from rayspan.report.status import status, worth_writing
from rayspan.report.window import Window

from tests.unit.plan.known import known

LLAMA = known("meta-llama/Llama-3.1-70B-Instruct")
STEADY = "2026-11-01T00:00:00Z"


def page(at: float, stage: int, steps: float, seconds: float, pod: str = "", kind: str = "decode") -> Scrape:
    labels: Labels = (("WorkerId", f"w{pod}{stage}"), ("kind", kind), ("stage", str(stage)))
    values = {(STEPS, labels): steps, (SECONDS, labels): seconds}
    return Scrape(at, pod or f"tiny-stage-{stage}-0", values=values)


def window(*scrapes: Scrape) -> Window:
    return Window.of(scrapes, max(scrape.at for scrape in scrapes), 300, {})


def running(world: Any, *seconds: float, steps: float = 1000, before: Status | None = None) -> Input:
    """A deployment of 38 and 42 layers that has been ready for long, its stages working so long on a step."""
    given = replace(world.serving(), model=recorded(LLAMA, key="k"))
    scrapes = [
        page(at, stage, count, count * taken)
        for stage, taken in enumerate(seconds)
        for at, count in ((world.now - 60, 10.0), (world.now, 10.0 + steps))
    ]
    given = world.seen(given, scrapes=tuple(scrapes))
    old = before or status(given)
    turned = [c.model_copy(update={"last_transition_time": STEADY}) for c in old.conditions or ()]
    given = world.after(given, old.model_copy(update={"conditions": turned}))
    assert isinstance(given, Input)
    return given


def test_means_are_of_decode_steps_over_all_replicas() -> None:
    scrapes = (
        *(page(at, 0, n, n * 0.010, "a") for at, n in ((0, 0), (60, 300))),
        *(page(at, 0, n, n * 0.020, "b") for at, n in ((0, 0), (60, 100))),
        *(page(at, 1, n, n * 0.008, "c") for at, n in ((0, 50), (60, 450))),
        *(page(at, 1, n, n * 9.0, "c", "prefill") for at, n in ((0, 0), (60, 450))),
    )
    first, second = stage_seconds(window(*scrapes), 2) or (0.0, 0.0)
    assert round(first, 9) == 0.0125
    assert round(second, 9) == 0.008
    assert prompt_seconds(window(*scrapes), 2)[1] == pytest.approx(450 * 9.0 / 400)


def test_too_few_steps_say_nothing() -> None:
    scrapes = [
        page(at, stage, n, n * 0.01) for stage, most in ((0, 500), (1, 199)) for at, n in ((0, 0), (9, most))
    ]
    assert stage_seconds(window(*scrapes), 2) is None
    assert stage_seconds(Window(), 2) is None


def test_a_slow_stage_makes_a_suggestion(world: Any) -> None:
    plan = status(running(world, 0.010, 0.020)).plan
    assert plan is not None and plan.suggestion is not None
    assert plan.layers == [38, 42]
    assert plan.suggestion.layers == [52, 28]
    assert plan.suggestion.gain_percent == 47
    assert plan.suggestion.message == (
        "Within 1m the stages worked 10ms and 20ms on a decode step: stage 1 gates the others. Cut into 52 and 28 "
        "layers in place of 38 and 42, the slowest would take 13.6ms: 47% more steps per second under load. To have "
        "it so, set layers in spec.parallelism.stages."
    )


def test_even_stages_make_none(world: Any) -> None:
    plan = status(running(world, 0.010, 0.0101)).plan
    assert plan is not None and plan.suggestion is None


def test_it_is_not_written_anew_for_times_that_hardly_moved(world: Any) -> None:
    first = status(running(world, 0.010, 0.020))
    again = status(running(world, 0.0101, 0.0199, before=first))
    assert again.plan == first.plan
    assert not worth_writing(first, again.model_copy(update={"conditions": first.conditions}), 1e9)


def test_it_stays_while_there_is_no_load(world: Any) -> None:
    first = status(running(world, 0.010, 0.020))
    idle = status(running(world, 0.010, 0.020, steps=0, before=first))
    assert idle.plan is not None and first.plan is not None
    assert idle.plan.suggestion == first.plan.suggestion is not None


def test_it_goes_with_the_cut_that_it_was_made_for(world: Any) -> None:
    first = status(running(world, 0.010, 0.020))
    assert first.plan is not None
    other = first.model_copy(update={"plan": first.plan.model_copy(update={"layers": [40, 40]})})
    idle = status(running(world, 0.010, 0.020, steps=0, before=other))
    assert idle.plan is not None and idle.plan.suggestion is None


def test_steps_of_another_cut_in_the_window_say_nothing(world: Any) -> None:
    given = running(world, 0.010, 0.020)
    anew = world.pods(given, world.pod(0, created_at=world.now - 30))
    plan = status(anew).plan
    assert plan is not None and plan.suggestion is None
    turned = [
        c.model_copy(update={"last_transition_time": "2027-01-15T07:59:50Z"})
        for c in given.deployment.status.conditions or ()
    ]
    changed = world.after(given, given.deployment.status.model_copy(update={"conditions": turned}))
    plan = status(changed).plan
    assert plan is not None and plan.suggestion is None
