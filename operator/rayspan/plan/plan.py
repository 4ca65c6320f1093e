"""The plan: from a spec, facts of the model and of the nodes to a cut, or a refusal with its arithmetic.

In this order: what the owner fixed is checked against itself and the model (:mod:`.model_checks`); what is
left out is filled in (:mod:`.cut`); the whole is checked against the nodes (:mod:`.placement`). Where the sizes of
the model or of the GPUs are not known, it is filled in without them: one GPU per stage, one stage per GPU node that
fits, shared by the replicas, layers by :func:`.layers.even_split`.

A plan that runs is kept as long as it agrees with the spec, and was sized for its engine arguments: nodes that come
and go do not move a deployment, and a stage whose node is gone is the scheduler's and the diagnosis' matter, not a
refusal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rayspan.api.v1alpha1 import Spec
from rayspan.plan.explanation import (
    gpus_sentence,
    layers_sentence,
    left_out_sentence,
    placement_sentence,
    tensor_sentence,
)
from rayspan.plan.facts import ModelFacts, NodeFacts
from rayspan.plan.guards import bars_stages, told
from rayspan.plan.layers import even_split
from rayspan.plan.model_checks import contradiction, fixed_pipeline, given_layers
from rayspan.plan.model_facts import sizing
from rayspan.plan.nodes import Stage, barred, matches, stage_selector
from rayspan.plan.placement import Cluster, Wanted, free_slots, holders, refusal, slots
from rayspan.plan.sized import measurable, sized
from rayspan.plan.types import Answer, Plan, StagePlan
from rayspan.plan.words import count

DEFAULT_GPU_RESOURCE = "nvidia.com/gpu"


def plan(
    spec: Spec,
    model: ModelFacts | None,
    nodes: Sequence[NodeFacts] | None,
    previous: Plan | None,
) -> Answer:
    """Cut the model and find where its stages may run.

    ``model`` None: its facts are not known (offline), the spec must give the layers and is trusted.
    ``nodes`` None: the cluster is not known (offline), nothing is checked against it.
    ``previous``: the plan that runs now; it is kept while it agrees with the spec.
    """
    no = contradiction(spec, model)
    if no is not None:
        return no
    running = previous if previous is not None and agrees(previous, spec, model) else None
    replicas = max(1, spec.replicas)
    cluster = _cluster(spec, nodes)
    resource = running.gpu_resource if running else _gpu_resource(spec, cluster)
    if cluster is not None:
        cluster = _of_one_resource(cluster, resource)
    if running is not None:
        return _kept(running, spec, cluster, replicas)
    if cluster is not None and model is not None and measurable(model, cluster):
        return sized(spec, model, cluster, resource, replicas)
    tensor = spec.parallelism.tensor or 1
    pipeline, why = _pipeline(spec, model, cluster, tensor, replicas)
    wanted = Wanted(
        tuple(Stage(index, *stage_selector(spec, index)) for index in range(pipeline)),
        tensor,
        replicas,
        resource,
    )
    if cluster is not None:
        refused = refusal(wanted, cluster, now=spec.replicas > 0)
        if refused is not None:
            return refused
    layers = given_layers(spec) or _even(model, pipeline)
    stages = tuple(
        StagePlan(stage.index, layers[stage.index], stage.selector, holders(stage, cluster, tensor))
        for stage in wanted.stages
    )
    sentences = (
        tensor_sentence(spec, tensor),
        why,
        layers_sentence(spec, layers),
        placement_sentence(stages),
        gpus_sentence(wanted),
        left_out_sentence(cluster, resource) if cluster is not None else None,
    )
    return Plan(tensor, stages, resource, tuple(s for s in sentences if s is not None), replicas)


def _kept(running: Plan, spec: Spec, cluster: Cluster | None, replicas: int) -> Answer:
    """The running plan, with the nodes that could hold its stages today; more replicas than before have to fit."""
    stages = [Stage(one.index, one.selector, stage_selector(spec, one.index)[1]) for one in running.stages]
    if cluster is not None and running.replicas < replicas:
        wanted = Wanted(tuple(stages), running.tensor, replicas, running.gpu_resource)
        if no := refusal(wanted, cluster, now=spec.replicas > 0):
            return no
    found = tuple(
        replace(one, nodes=holders(stage, cluster, running.tensor))
        for one, stage in zip(running.stages, stages, strict=True)
    )
    return replace(running, stages=found, replicas=replicas)


def agrees(running: Plan, spec: Spec, model: ModelFacts | None) -> bool:
    """Whether the running plan is still one that the spec and the model allow."""
    cut = spec.parallelism
    return (
        cut.tensor in (None, running.tensor)
        and fixed_pipeline(spec) in (None, running.pipeline)
        and given_layers(spec) in ((), running.layers)
        and (model is None or sum(running.layers) == model.layers)
        and (model is None or running.pipeline == 1 or bars_stages(spec, model) is None)
        and running.sized_for in (None, sizing(spec.engine.args or {}))
        and all(stage.node_selector == stage_selector(spec, stage.index)[0] for stage in running.stages)
    )


def _cluster(spec: Spec, nodes: Sequence[NodeFacts] | None) -> Cluster | None:
    if nodes is None:
        return None
    ordered = tuple(sorted(nodes, key=lambda node: node.name))
    reasons = {node.name: barred(node, spec) for node in ordered}
    return Cluster(ordered, {name: reason for name, reason in reasons.items() if reason is not None})


def _gpu_resource(spec: Spec, cluster: Cluster | None) -> str:
    """The kind of GPU: a plan does not mix kinds. The one that most stages can have, then the one of most
    nodes that a stage may use."""
    stages: Counter[str] = Counter()
    nodes: Counter[str] = Counter()
    able = [node for node in cluster.nodes if node.gpus] if cluster else []
    for index in range(fixed_pipeline(spec) or 1):
        selector, _ = stage_selector(spec, index)
        offers = [node.gpu_resource for node in able if matches(selector, node.labels)]
        nodes.update(offers)
        stages.update(set(offers))
    if not nodes:
        return DEFAULT_GPU_RESOURCE
    return min(nodes, key=lambda resource: (-stages[resource], -nodes[resource], resource))


def _of_one_resource(cluster: Cluster, resource: str) -> Cluster:
    """The cluster with nodes of other GPUs left out."""
    other = {
        node.name: f"its GPUs are {node.gpu_resource}, not {resource}"
        for node in cluster.nodes
        if node.gpus and node.gpu_resource != resource
    }
    return Cluster(cluster.nodes, {**other, **cluster.barred})


def _pipeline(
    spec: Spec,
    model: ModelFacts | None,
    cluster: Cluster | None,
    tensor: int,
    replicas: int,
) -> tuple[int, str]:
    """Number of stages, and the sentence that says why."""
    fixed = fixed_pipeline(spec)
    if fixed is not None:
        where = "spec.parallelism.stages" if spec.parallelism.stages else "spec.parallelism.pipeline"
        return fixed, f"{count(fixed, 'pipeline stage')}, as {where} says."
    if model is not None and (guard := bars_stages(spec, model)):
        return 1, f"1 pipeline stage: {told(guard, model)}."
    if cluster is None:
        return 1, "1 pipeline stage: spec.parallelism.pipeline is left out and the nodes are not known."
    selector, _ = stage_selector(spec, 0)
    able = [n for n in cluster.nodes if n.name not in cluster.barred and matches(selector, n.labels)]
    fitting = [n for n in able if free_slots(n, tensor)] or [n for n in able if slots(n, tensor)]
    most = min(model.layers if model else 64, 64)
    pipeline = max(1, min(len(fitting) // replicas, most))
    return pipeline, (
        f"{count(pipeline, 'pipeline stage')}: {count(len(fitting), 'node')} with "
        f"{count(tensor, 'GPU')} to give, shared by {count(replicas, 'replica')}"
        + (f", no more than {most} stages." if len(fitting) // replicas > most else ".")
    )


def _even(model: ModelFacts | None, pipeline: int) -> tuple[int, ...]:
    assert model is not None, "model_checks.layers_known lets no spec without layers come here"
    return even_split(model.layers, pipeline)
