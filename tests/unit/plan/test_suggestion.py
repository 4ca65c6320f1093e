"""Better splits from seen times: the best of all that fit, and a suggestion that stays while it is about as good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from rayspan.plan.gpus import gpu
from rayspan.plan.memory import GIB
from rayspan.plan.stage_time import decode_seconds, stage_seconds, work
from rayspan.plan.suggestion import CLEARLY, WORTHWHILE, Seen, better_split
from rayspan.plan.types import Plan, StagePlan

from tests.unit.plan.known import known

MODEL = known("meta-llama/Llama-3.1-8B")
H200 = gpu("NVIDIA-H200")
assert MODEL.weights is not None
WORK = work(MODEL.weights, 0, 0)


def cut(*layers: int) -> Plan:
    return Plan(1, tuple(StagePlan(i, n, {}, ()) for i, n in enumerate(layers)), "nvidia.com/gpu")


def seen(plan: Plan, *pace: float, memory: int | None = None) -> list[Seen]:
    """The stages as predicted, each so many times slower."""
    predicted = stage_seconds(WORK, [H200] * plan.pipeline, 1, plan.layers)
    return [Seen(factor * taken, H200, memory) for factor, taken in zip(pace, predicted, strict=True)]


def slowest(pace: Sequence[float], layers: Sequence[int]) -> float:
    times = stage_seconds(WORK, [H200] * len(layers), 1, layers)
    return max(factor * taken for factor, taken in zip(pace, times, strict=True))


def test_stages_that_take_what_was_predicted_are_left_alone() -> None:
    assert better_split(MODEL, {}, cut(17, 15), seen(cut(17, 15), 1, 1)) is None


def test_a_slow_gpu_is_given_fewer_layers() -> None:
    better = better_split(MODEL, {}, cut(16, 16), seen(cut(16, 16), 1, 1.5))
    assert better is not None
    assert better.layers == (20, 12)
    assert better.gain == pytest.approx(slowest((1, 1.5), (16, 16)) / slowest((1, 1.5), (20, 12)) - 1)


def test_prompts_move_with_the_layers() -> None:
    """By decode alone the first stage would get 20 of the layers; it works on prompts as long again."""
    first, second = seen(cut(16, 16), 1, 1.5)
    better = better_split(MODEL, {}, cut(16, 16), [replace(first, prompts=first.seconds), second])
    assert better is not None and better.layers == (14, 18)
    even = [replace(stage, prompts=0.1) for stage in (first, second)]  # beside which steps are nothing
    assert better_split(MODEL, {}, cut(16, 16), even) is None


@settings(deadline=None)
@given(some.lists(some.floats(0.5, 3), min_size=3, max_size=3), some.integers(1, 30), some.data())
def test_no_split_is_better(pace: list[float], first: int, data: some.DataObject) -> None:
    second = data.draw(some.integers(1, 31 - first))
    plan = cut(first, second, 32 - first - second)
    best = min(
        max(slowest(pace, (a, b, 32 - a - b)), H200.floor_seconds)
        for a in range(1, 31)
        for b in range(1, 32 - a)
    )
    gain = max(slowest(pace, plan.layers), H200.floor_seconds) / best - 1
    better = better_split(MODEL, {}, plan, seen(plan, *pace))
    assert (better.gain if better else 0.0) == pytest.approx(gain if gain >= WORTHWHILE else 0.0)


def test_what_does_not_fit_is_not_suggested() -> None:
    """20 layers are 9.8 GB with the embedding: 10 GiB do not hold them with what else vLLM needs."""
    arguments = {"max_model_len": 2048, "enforce_eager": True}
    roomy = better_split(MODEL, arguments, cut(16, 16), seen(cut(16, 16), 1, 1.5, memory=80 * GIB))
    tight = better_split(MODEL, arguments, cut(16, 16), seen(cut(16, 16), 1, 1.5, memory=10 * GIB))
    assert roomy is not None and roomy.layers == (20, 12)
    assert tight is None or tight.layers[0] < 20


@pytest.mark.parametrize(
    ("pace", "stays"), [(1.5, True), (1.45, True), (1.9, False)], ids=["the same", "nearly", "another"]
)
def test_a_suggestion_stays_while_no_other_is_clearly_better(pace: float, stays: bool) -> None:
    plan = cut(16, 16)
    better = better_split(MODEL, {}, plan, seen(plan, 1, pace), suggested=(20, 12))
    assert better is not None and (better.layers == (20, 12)) is stays


def test_a_suggestion_goes_when_it_gains_nothing_any_more() -> None:
    plan = cut(16, 16)
    even = better_split(MODEL, {}, plan, seen(plan, 1.1, 1), suggested=(20, 12))
    assert even is None
    nearly = seen(plan, 1.07, 1.07 * 1.03)
    assert better_split(MODEL, {}, plan, nearly) is None
    kept = better_split(MODEL, {}, plan, nearly, suggested=(17, 15))
    assert kept is not None and WORTHWHILE - CLEARLY < kept.gain < WORTHWHILE


def test_under_the_floor_nothing_is_gained() -> None:
    """Stages of a few layers wait for the host, whatever their split."""
    small = replace(MODEL, layers=4, weights=_first_layers(4), caches=MODEL.caches[:4])
    plan = cut(3, 1)
    times = [decode_seconds(WORK, H200, 1, place, 0, n, 2) for place, n in (("first", 3), ("last", 1))]
    assert max(times) < H200.floor_seconds
    assert better_split(small, {}, plan, [Seen(taken, H200, None) for taken in times]) is None


def _first_layers(count: int):  # type: ignore[no-untyped-def]
    assert MODEL.weights is not None
    held = MODEL.weights
    return replace(held, layers=held.layers[:count], experts=held.experts[:count])


def test_without_sizes_or_stages_there_is_nothing_to_say() -> None:
    stages = seen(cut(16, 16), 1, 2)
    assert better_split(replace(MODEL, weights=None), {}, cut(16, 16), stages) is None
    assert better_split(MODEL, {}, cut(32), stages[:1]) is None
