"""No cut fits: what is short, and the nearest ways out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from rayspan.plan.cut import Cut, Cutter, Wish
from rayspan.plan.facts import ModelFacts
from rayspan.plan.memory import Engine
from rayspan.plan.model_facts import as_loaded
from rayspan.plan.placement import slots
from rayspan.plan.pools import Pool
from rayspan.plan.words import count, listed, size

SHORTEST_CONTEXT = 1024
MOST_NODES = 64


def shortage_sentence(model: ModelFacts, engine: Engine, pools: Sequence[Pool], wish: Wish) -> str:
    """The arithmetic of the whole model against all that could hold it, and what to change."""
    assert model.weights is not None
    largest = max((wish.tensor or node.gpus for pool in pools for node in pool.nodes), default=1)
    request = sum(layer.request(engine.context, 1) for layer in model.caches)
    have = listed(
        (
            f"{count(len(pool.nodes), 'node')} with {_gpus(pool, wish.tensor)}"
            for pool in pools
            if pool.memory
        ),
        most=4,
    )
    cut = "" if wish.pipeline is None else f" in {count(wish.pipeline, 'stage')}"
    cut += "" if wish.tensor is None else f" of {count(wish.tensor, 'GPU')}"
    replicas = f" for each of {count(wish.replicas, 'replica')}" if wish.replicas > 1 else ""
    ways = [
        way
        for way in (
            _cache(model, engine, pools, wish),
            _nodes(model, engine, pools, wish),
            _fp8(model, engine, pools, wish),
            _context(model, engine, pools, wish),
        )
        if way
    ]
    instead = listed(ways, last="or") if ways else f"larger GPUs or more than {largest} of them per node"
    given = engine.cache_bytes
    cache = (
        f"{size(given)} of KV cache (kv_cache_memory_bytes)"
        if given
        else f"{size(request)} of KV cache for one request of {engine.context} tokens"
    )
    share = "" if given else f", of which vLLM takes {engine.utilization:.0%}"
    return f"{size(model.weights.total)} of weights and {cache}{replicas} do not fit{cut} on {have}{share}: use {instead}."


def _gpus(pool: Pool, tensor: int | None) -> str:
    assert pool.memory is not None
    most = max(node.gpus for node in pool.nodes)
    return f"{count(most, 'GPU')} of {size(pool.memory)}"


def _cache(model: ModelFacts, engine: Engine, pools: Sequence[Pool], wish: Wish) -> str | None:
    """As much cache on each GPU as one request takes, where the user fixed less."""
    if engine.cache_bytes is None:
        return None
    found = Cutter(model, replace(engine, cache_bytes=None), pools, slots).first(wish)
    if found is None:
        return None
    least = ceil(max(stage.need.request for stage in found.stages))
    return f"engine.args.kv_cache_memory_bytes: {least} or more" if least > engine.cache_bytes else None


def _nodes(model: ModelFacts, engine: Engine, pools: Sequence[Pool], wish: Wish) -> str | None:
    """More nodes like the best ones."""
    if wish.pipeline or wish.layers:
        return None
    best = max(pools, key=lambda pool: (pool.memory or 0) * max(node.gpus for node in pool.nodes))
    node = max(best.nodes, key=lambda one: one.gpus)

    def cut(nodes: int) -> Cut | None:
        more = replace(best, nodes=(node,) * nodes, stages=frozenset(range(MOST_NODES)), labels={})
        return Cutter(model, engine, [more], slots).first(wish)

    counts = range(len(best.nodes) + 1, MOST_NODES + 1)
    if (first := bisect_left(counts, True, key=lambda nodes: cut(nodes) is not None)) == len(counts):
        return None
    found = cut(counts[first])
    assert found is not None
    return f"{counts[first]} such nodes (TP{found.tensor}xPP{len(found.stages)})"


def _fp8(model: ModelFacts, engine: Engine, pools: Sequence[Pool], wish: Wish) -> str | None:
    """Weights of half the size."""
    if model.quantized or model.number_bytes < 2:
        return None
    smaller = as_loaded(model, {"quantization": "fp8"})
    return "engine.args.quantization: fp8" if Cutter(smaller, engine, pools, slots).first(wish) else None


def _context(model: ModelFacts, engine: Engine, pools: Sequence[Pool], wish: Wish) -> str | None:
    """The longest context, halved until it fits."""
    length = engine.context
    while length > SHORTEST_CONTEXT:
        length = 1 << (length - 1).bit_length() - 1
        if Cutter(model, replace(engine, context=length), pools, slots).first(wish):
            return f"engine.args.max_model_len: {length}"
    return None
