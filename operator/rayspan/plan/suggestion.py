"""A better split for a pipeline that runs, from the times that its stages were seen to take.

How a stage's time follows from its layers is what :mod:`.stage_time` says; how fast its GPU is with them was seen.
So with other layers, stage ``s`` takes::

    predicted(s, other layers) x seen(s) / predicted(s, its layers) + prompts(s) x other layers / its layers

for a decode step and the prompts that were seen to come with it; layers by the bytes that a token passes through.
Of all splits that fit the GPUs that the stages are on, the one whose slowest stage is fastest (:mod:`.split`). One
that was suggested before stays, as long as no other is clearly better: times are never quite the same twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf
from typing import Any, Final

from rayspan.plan.facts import ModelFacts
from rayspan.plan.gpus import Gpu
from rayspan.plan.memory import Memory, engine
from rayspan.plan.model_facts import as_loaded
from rayspan.plan.split import Problem, Segment, place, solve
from rayspan.plan.stage_time import decode_seconds, stage_seconds, work
from rayspan.plan.types import Plan

WORTHWHILE: Final = 0.05
"""Least gain that is suggested: what one measures twice differs by half of it."""
CLEARLY: Final = 0.02
"""A split is clearly better than another from here; a suggestion goes when it gains so much less than is
worthwhile."""


@dataclass(frozen=True)
class Better:
    """A better split."""

    layers: tuple[int, ...]
    gain: float
    """Steps per second more, as a share: 0.1 is 10 % more."""
    slowest_seconds: float
    """Of its slowest stage, for a step."""


@dataclass(frozen=True)
class Seen:
    """One stage as it runs."""

    seconds: float
    """Mean work on a decode step."""
    gpu: Gpu
    memory: int | None
    """Bytes of a GPU; None: not known, taken to suffice."""
    prompts: float = 0.0
    """Seconds of work on steps with prompts, for each decode step."""

    @property
    def load(self) -> float:
        """Seconds of work on a decode step and the prompts that came with it."""
        return self.seconds + self.prompts


def better_split(
    model: ModelFacts,
    arguments: Mapping[str, Any],
    plan: Plan,
    stages: Sequence[Seen],
    suggested: Sequence[int] = (),
) -> Better | None:
    """None: none is worthwhile, or the weights are not known. ``suggested``: the layers of the last one."""
    model = as_loaded(model, arguments)
    if model.weights is None or len(stages) != plan.pipeline or plan.pipeline == 1:
        return None
    whole = work(model.weights, model.experts_per_token, model.experts)
    memory = Memory(model, engine(arguments, model), plan.tensor)
    predicted = stage_seconds(whole, [stage.gpu for stage in stages], plan.tensor, plan.layers)
    pace = [stage.seconds / seconds for stage, seconds in zip(stages, predicted, strict=True)]
    passed = [whole.passed[part.end] - whole.passed[part.begin] for part in _segments(plan.layers)]

    def seconds(segment: Segment) -> float:
        gpu, last = stages[segment.kind].gpu, plan.pipeline
        taken = decode_seconds(whole, gpu, plan.tensor, segment.place, segment.begin, segment.end, last)
        more = (whole.passed[segment.end] - whole.passed[segment.begin]) / passed[segment.kind]
        return pace[segment.kind] * taken + stages[segment.kind].prompts * more

    def room(segment: Segment) -> float:
        size = stages[segment.kind].memory
        if size is None:
            return inf
        return memory.requests(memory.need(segment.place, segment.begin, segment.end, size), size) - 1

    def gain(slowest: float) -> float:
        floor = max(stage.gpu.floor_seconds for stage in stages)
        return max(floor, *(stage.load for stage in stages)) / max(floor, slowest) - 1

    def allowed(stage: int, kind: int) -> bool:
        return stage == kind  # each stage stays where it is

    found = solve(Problem(model.layers, plan.pipeline, [1] * plan.pipeline, allowed, seconds, room))
    if found is None:
        return None
    best = Better(found.layers, gain(found.seconds), found.seconds)
    if len(suggested) == plan.pipeline and sum(suggested) == model.layers:
        parts = _segments(suggested)
        slowest = max(map(seconds, parts))
        if min(map(room, parts)) >= 0 and gain(slowest) > max(best.gain, WORTHWHILE) - CLEARLY:
            return Better(tuple(suggested), gain(slowest), slowest)
    return best if best.gain >= WORTHWHILE else None


def _segments(layers: Sequence[int]) -> list[Segment]:
    edges = [0, *accumulate(layers)]
    return [
        Segment(stage, place(stage, len(layers)), begin, end)
        for stage, (begin, end) in enumerate(pairwise(edges))
    ]
