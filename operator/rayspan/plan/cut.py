"""The cut: how many GPUs per stage, how many stages, which layers on which GPUs, and what each stage then holds.

Candidates are tried from the fewest GPUs up; at the same number of GPUs the one with fewer stages first, for tensor
parallel inside a node beats a pipeline by far (docs/performance.md: 2.5 times the tokens on four GPUs). The first
that holds the weights and the cache of one request as long as the context is the cut: so one node where one
suffices. Its layers are split exactly (:mod:`.split`) by the stages' predicted times (:mod:`.stage_time`), within
their memory (:mod:`.memory`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from math import inf
from typing import Final

from rayspan.plan.facts import ModelFacts
from rayspan.plan.gpus import Gpu
from rayspan.plan.memory import Engine, Memory, Need, Room
from rayspan.plan.placement import Slots
from rayspan.plan.pools import Pool
from rayspan.plan.split import Problem, Segment, place, solve
from rayspan.plan.stage_time import (
    load_seconds,
    stage_seconds,
    step_seconds,
    vllm_default,
    work,
)

MOST_STAGES: Final = 64
"""As in the CRD."""


@dataclass(frozen=True)
class Wish:
    """What is fixed; None and empty: to be found."""

    tensor: int | None
    pipeline: int | None
    layers: tuple[int, ...]
    replicas: int
    alone: bool
    """Whether every stage has its nodes for itself."""
    most: int = MOST_STAGES
    """Stages that it may have."""


@dataclass(frozen=True)
class StageCut:
    """One stage."""

    layers: int
    pool: Pool
    need: Need
    room: Room | None
    """None: the GPU's memory is not known."""
    requests: float
    """As long as the context, that its cache holds at once; infinite where not known."""
    seconds: float
    """Predicted for a decode step of a micro-batch."""


@dataclass(frozen=True)
class Cut:
    """A whole one."""

    tensor: int
    stages: tuple[StageCut, ...]
    step_seconds: float
    """Predicted, for every sequence to gain a token."""
    gain: float
    """Share of load more that it carries than vLLM's own split on the same GPUs: 0.1 is 10 % more."""

    @property
    def requests(self) -> float:
        """As long as the context, at once: the stage with the least room caps all."""
        return min(stage.requests for stage in self.stages)


class Cutter:
    """Everything that does not change between candidates."""

    def __init__(self, model: ModelFacts, engine: Engine, pools: Sequence[Pool], offer: Slots) -> None:
        assert model.weights is not None
        self.model, self.engine, self.pools, self.offer = model, engine, pools, offer
        self.work = work(model.weights, model.experts_per_token, model.experts)

    def first(self, wish: Wish) -> Cut | None:
        """The first candidate that fits."""
        for tensor, pipeline in self.candidates(wish):
            if found := self.cut(tensor, pipeline, wish):
                return found
        return None

    def candidates(self, wish: Wish) -> Iterator[tuple[int, int]]:
        """(tensor, pipeline), fewest GPUs first."""
        largest = max((node.gpus for pool in self.pools for node in pool.nodes), default=1)
        tensors = [wish.tensor] if wish.tensor else [t for t in range(1, largest + 1) if self._shares(t)]
        most = min(self.model.layers, wish.most, sum(len(pool.nodes) for pool in self.pools))
        pipelines = [wish.pipeline] if wish.pipeline else range(1, most + 1)
        pairs = [(tensor, pipeline) for tensor in tensors for pipeline in pipelines]
        yield from sorted(pairs, key=lambda pair: (pair[0] * pair[1], pair[1]))

    def _shares(self, tensor: int) -> bool:
        """Whether so many ranks can share the heads, as vLLM wants it; powers of two, as nodes and kernels do."""
        return tensor & (tensor - 1) == 0 and (self.model.attention_heads or 0) % tensor == 0

    def cut(self, tensor: int, pipeline: int, wish: Wish) -> Cut | None:
        """With so many GPUs and stages; None: it does not fit."""
        counts = [min(pipeline, p.held(tensor, wish.replicas, self.offer, wish.alone)) for p in self.pools]
        if sum(counts) < pipeline or not self._could_hold(tensor, pipeline, counts):
            return None
        memory = Memory(self.model, self.engine, tensor)
        edges = [0, *accumulate(wish.layers or [1] * self.model.layers)]
        """What is split: single layers, or the stages that are fixed, as wholes."""

        @cache
        def need(segment: Segment) -> Need:
            size = self.pools[segment.kind].memory or 0
            return memory.need(segment.place, edges[segment.begin], edges[segment.end], size)

        def room(segment: Segment) -> float:
            size = self.pools[segment.kind].memory
            return inf if size is None else memory.requests(need(segment), size) - 1

        def seconds(segment: Segment) -> float:
            gpu, begin, end = self.pools[segment.kind].gpu, edges[segment.begin], edges[segment.end]
            return load_seconds(self.work, gpu, tensor, segment.place, begin, end, pipeline)

        def allowed(stage: int, kind: int) -> bool:
            return stage in self.pools[kind].stages

        found = solve(Problem(len(edges) - 1, pipeline, counts, allowed, seconds, room))
        if found is None:
            return None
        ends = [edges[end] for end in accumulate(found.layers)]
        layers = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
        return self._told(tensor, layers, found.kinds, memory)

    def _could_hold(self, tensor: int, pipeline: int, counts: Sequence[int]) -> bool:
        """Whether the largest nodes together have the memory for the weights alone: most candidates end here."""
        assert self.model.weights is not None
        sizes = [inf if pool.memory is None else float(pool.memory) for pool in self.pools]
        each = sorted((size for size, n in zip(sizes, counts, strict=True) for _ in range(n)), reverse=True)
        return sum(each[:pipeline]) * tensor >= self.model.weights.total

    def _told(self, tensor: int, layers: Sequence[int], kinds: Sequence[int], memory: Memory) -> Cut:
        chosen = [self.pools[kind] for kind in kinds]
        gpus: list[Gpu] = [pool.gpu for pool in chosen]
        times = stage_seconds(self.work, gpus, tensor, layers)

        def load(split: Sequence[int]) -> float:
            return step_seconds(stage_seconds(self.work, gpus, tensor, split, load_seconds), gpus)

        gain = load(vllm_default(sum(layers), len(layers))) / load(layers) - 1
        stages = []
        begin = 0
        for index, (count, pool) in enumerate(zip(layers, chosen, strict=True)):
            need = memory.need(place(index, len(layers)), begin, begin + count, pool.memory or 0)
            room = memory.room(need, pool.memory) if pool.memory else None
            held = memory.requests(need, pool.memory) if pool.memory else inf
            stages.append(StageCut(count, pool, need, room, held, times[index]))
            begin += count
        return Cut(tensor, tuple(stages), step_seconds(times, gpus), gain)
