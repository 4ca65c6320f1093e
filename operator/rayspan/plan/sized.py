"""The plan where the sizes of the model and of the GPUs are known: the cut, its arithmetic, or why none fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from rayspan.api.v1alpha1 import Spec
from rayspan.plan.cut import MOST_STAGES, Cut, Cutter, Wish
from rayspan.plan.explanation import gpus_sentence, left_out_sentence, placement_sentence
from rayspan.plan.facts import ModelFacts
from rayspan.plan.guards import bars_stages, told
from rayspan.plan.memory import engine
from rayspan.plan.model_checks import fixed_pipeline, given_layers
from rayspan.plan.model_facts import as_loaded, sizing
from rayspan.plan.nodes import Stage, stage_selector
from rayspan.plan.placement import Cluster, Wanted, free_slots, holders, refusal, slots
from rayspan.plan.pools import pools, share_hosts
from rayspan.plan.shortage import shortage_sentence
from rayspan.plan.stage_time import SEQUENCES, vllm_default
from rayspan.plan.types import Answer, Holding, Plan, StagePlan, Unplaceable
from rayspan.plan.words import count, listed, size


def measurable(model: ModelFacts, cluster: Cluster) -> bool:
    """Whether there is anything to reckon with."""
    return model.weights is not None and any(
        node.gpu_memory_bytes for node in cluster.nodes if node.gpus and node.name not in cluster.barred
    )


def sized(spec: Spec, model: ModelFacts, cluster: Cluster, resource: str, replicas: int) -> Answer:
    """A fresh plan for nodes of known GPUs; those whose memory no label tells are left out."""
    cluster, model = _of_known_memory(cluster), as_loaded(model, spec.engine.args or {})
    fixed = fixed_pipeline(spec)
    stages = [Stage(index, *stage_selector(spec, index)) for index in range(fixed or MOST_STAGES)]
    least = Wanted(tuple(stages[: fixed or 1]), spec.parallelism.tensor or 1, replicas, resource)
    if no := refusal(least, cluster, now=False):
        return no  # no node at all, whatever the cut
    wish = Wish(
        tensor=spec.parallelism.tensor,
        pipeline=fixed,
        layers=given_layers(spec),
        replicas=replicas,
        alone=not share_hosts(stages[: fixed or 0]),
        most=1 if bars_stages(spec, model) else MOST_STAGES,
    )
    found, settings = pools(cluster, stages), engine(spec.engine.args or {}, model)
    cut = next(
        filter(None, (Cutter(model, settings, found, offer).first(wish) for offer in (free_slots, slots))),
        None,
    )
    if cut is None:
        return Unplaceable(shortage_sentence(model, settings, found, wish))
    chosen = tuple(
        replace(stage, selector=dict(sorted({**one.pool.labels, **stage.selector}.items())))
        for stage, one in zip(stages, cut.stages, strict=False)
    )
    wanted = Wanted(chosen, cut.tensor, replicas, resource)
    if no := refusal(wanted, cluster, now=spec.replicas > 0):
        return no
    return _plan(spec, model, cut, wanted, stages, cluster, settings.context)


def _of_known_memory(cluster: Cluster) -> Cluster:
    unknown = {
        node.name: "no label tells the memory of its GPUs"
        for node in cluster.nodes
        if node.gpus and node.gpu_memory_bytes is None
    }
    return Cluster(cluster.nodes, {**unknown, **cluster.barred})


def _plan(
    spec: Spec,
    model: ModelFacts,
    cut: Cut,
    wanted: Wanted,
    stages: Sequence[Stage],
    cluster: Cluster,
    context: int,
) -> Plan:
    planned = tuple(
        StagePlan(
            index=stage.index,
            layers=one.layers,
            node_selector=stages[stage.index].selector,
            nodes=holders(stage, cluster, cut.tensor),
            pool=one.pool.labels,
            holding=Holding(one.need.weights, one.room.cache, one.room.headroom) if one.room else None,
        )
        for stage, one in zip(wanted.stages, cut.stages, strict=True)
    )
    sentences = (
        _size_sentence(spec, model, cut),
        *(_memory_sentence(index, cut, context) for index in range(len(cut.stages))),
        _layers_sentence(spec, cut),
        placement_sentence(planned),
        gpus_sentence(wanted),
        left_out_sentence(cluster, wanted.gpu_resource),
    )
    return Plan(
        cut.tensor,
        planned,
        wanted.gpu_resource,
        tuple(sentence for sentence in sentences if sentence)[:32],
        wanted.replicas,
        None if cut.requests == inf else int(cut.requests * context),
        sizing(spec.engine.args or {}),
    )


def _size_sentence(spec: Spec, model: ModelFacts, cut: Cut) -> str:
    """Why so many GPUs."""
    layout = f"{count(cut.tensor, 'GPU')} per stage and {count(len(cut.stages), 'pipeline stage')}"
    fixed = [
        name
        for name, given in (
            ("tensor", spec.parallelism.tensor),
            ("stages" if spec.parallelism.stages else "pipeline", fixed_pipeline(spec)),
        )
        if given
    ]
    if len(fixed) == 2:
        return f"{layout}, as spec.parallelism says."
    least = "the fewest GPUs that hold the weights and the cache of one request"
    guard = bars_stages(spec, model)
    if guard is not None and not fixed:
        return f"{layout}, for {told(guard, model)}: {least}."
    if fixed:
        return f"{layout}: spec.parallelism.{fixed[0]} is given; {least}."
    stage = "" if len(cut.stages) > 1 else ", on one node, since one suffices"
    return f"{layout}{stage}: {least}."


def _memory_sentence(index: int, cut: Cut, context: int) -> str:
    one = cut.stages[index]
    assert one.room is not None and one.pool.memory is not None
    each = " per GPU" if cut.tensor > 1 else ""
    return (
        f"Stage {index} holds {size(one.need.weights)} of weights and {size(one.room.cache)} of KV "
        f"cache{each} of {size(one.pool.memory)} ({one.pool.product or 'GPU of unknown product'}): "
        f"{int(one.requests)} {'request' if int(one.requests) == 1 else 'requests'} of {context} tokens at once."
    )


def _layers_sentence(spec: Spec, cut: Cut) -> str:
    layers = [stage.layers for stage in cut.stages]
    slowest = max(range(len(layers)), key=lambda index: cut.stages[index].seconds)
    gpu = cut.stages[slowest].pool.gpu
    step = f"a step of {SEQUENCES} sequences per stage takes {cut.step_seconds * 1e3:.1f} ms by prediction ({gpu.source})"
    if len(layers) == 1:
        whole = f"All {count(layers[0], 'layer')} in one stage"
        return f"{whole}: {step}." if gpu.product else f"{whole}."
    default = vllm_default(sum(layers), len(layers))
    against = (
        "as vLLM would by itself"
        if tuple(layers) == default
        else f"{cut.gain:.0%} faster than vLLM's own {listed(default, most=64)}"
        if cut.gain >= 0.005
        else f"as fast as vLLM's own {listed(default, most=64)}"
    )
    why = ", as spec.parallelism.stages says" if given_layers(spec) else ""
    timed = step if gpu.product else "by the bytes of its weights, for the GPU is not in Rayspan's table"
    return (
        f"{sum(layers)} layers cut into {listed(layers, most=64)}{why}, {against}; stage {slowest} is the slowest"
        f"{': ' if gpu.product else ' '}{timed}."
    )
