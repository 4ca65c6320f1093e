"""Whether the cluster can hold the stages, and if not, what is short and what to write instead.

A node gives a stage ``GPUs // tensor`` slots, one per replica, for all tensor ranks of a stage sit on one
node. Pods of the same stage may share a node, pods of different stages may not unless they ask for it by
selecting the very same host. Only what is certain is refused: each stage finds a node, the stages find
distinct nodes (a matching), and the slots of all nodes suffice (a flow). For nodes that hold one slot each
that is exact; beyond that the scheduler has the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from rayspan.plan.facts import NodeFacts
from rayspan.plan.matching import Shortage, shortage
from rayspan.plan.nodes import Stage, matches, shares_host
from rayspan.plan.types import Unplaceable
from rayspan.plan.words import count, labels, listed


@dataclass(frozen=True)
class Wanted:
    """What is to be placed."""

    stages: tuple[Stage, ...]
    tensor: int
    replicas: int
    gpu_resource: str


@dataclass(frozen=True)
class Cluster:
    """The nodes, and why some of them can take no pod."""

    nodes: tuple[NodeFacts, ...]
    barred: Mapping[str, str]

    def open(self, stage: Stage) -> list[NodeFacts]:
        """Nodes whose labels fit the stage and that can take a pod."""
        return [n for n in self.nodes if n.name not in self.barred and matches(stage.selector, n.labels)]


def slots(node: NodeFacts, tensor: int) -> int:
    """Stages of ``tensor`` GPUs that the node can hold, whoever holds its GPUs now."""
    return node.gpus // tensor


def free_slots(node: NodeFacts, tensor: int) -> int:
    """Stages of ``tensor`` GPUs that the node can hold beside the pods of others."""
    return max(0, node.gpus - node.gpus_held_by_others) // tensor


def holders(stage: Stage, cluster: Cluster | None, tensor: int) -> tuple[str, ...]:
    """Nodes that could hold the stage now."""
    if cluster is None:
        return ()
    return tuple(node.name for node in cluster.open(stage) if free_slots(node, tensor))


def refusal(wanted: Wanted, cluster: Cluster, now: bool = True) -> Unplaceable | None:
    """The first reason why the stages cannot be placed; None: nothing speaks against it.

    ``now`` False: GPUs that others hold count as free, for nothing is to be started.
    """
    alike = {tuple(stage.selector.items()): stage for stage in reversed(wanted.stages)}
    for stage in sorted(alike.values(), key=lambda stage: stage.index):
        message = _no_node(stage, wanted, cluster)
        if message is not None:
            return Unplaceable(message)
    message = _short(wanted, cluster, slots)
    if message is not None:
        return Unplaceable(message)
    message = _waiting(wanted, cluster) if now else None
    return Unplaceable(message) if message is not None else None


def _no_node(stage: Stage, wanted: Wanted, cluster: Cluster) -> str | None:
    """Why not a single node can ever hold this stage."""
    subject = f"{stage.field} {labels(stage.selector)}" if stage.selector else f"Stage {stage.index}"
    fitting = [node for node in cluster.nodes if matches(stage.selector, node.labels)]
    if not fitting:
        if not stage.selector:
            return "The cluster has no nodes."
        return f"{subject} matches no node: {_nearest(stage.selector, cluster.nodes)}."
    able = cluster.open(stage)
    verb = "matches" if stage.selector else "could run on"
    if not able:
        names = listed(f"{node.name} ({cluster.barred[node.name]})" for node in fitting)
        return (
            f"{subject} {verb} only {names}: make one of them ready, uncordon it, or add a toleration to "
            "spec.serving.podTemplate.spec.tolerations."
        )
    with_gpus = [node for node in able if node.gpus > 0]
    if not with_gpus:
        names = listed(node.name for node in able)
        return (
            f"{subject} {verb} only {names}, which {'offers' if len(able) == 1 else 'offer'} no GPUs (allocatable {wanted.gpu_resource} is 0): "
            "select nodes with GPUs, or install the GPUs' device plugin there."
        )
    largest = max(with_gpus, key=lambda node: (node.gpus, node.name))
    if largest.gpus < wanted.tensor:
        pipeline = len(wanted.stages)
        return (
            f"spec.parallelism.tensor is {wanted.tensor} and all GPUs of a stage sit on one node, but the "
            f"largest node that stage {stage.index} may use, {largest.name}, has {count(largest.gpus, 'GPU')} "
            f"({wanted.tensor} x {count(pipeline, 'stage')} = {wanted.tensor * pipeline} GPUs per replica): "
            f"write tensor: {largest.gpus} or less, or select larger nodes."
        )
    return None


def _nearest(selector: Mapping[str, str], nodes: Sequence[NodeFacts]) -> str:
    """What exists that is closest to the first label that no node has."""
    for key, value in sorted(selector.items()):
        values = sorted({node.labels[key] for node in nodes if key in node.labels})
        if value in values:
            continue
        if values:
            near = sorted(get_close_matches(value, values, n=5, cutoff=0.5)) or values
            return f"{key} is {listed(near, last='or', most=5)} here"
        keys = sorted({known for node in nodes for known in node.labels})
        close = get_close_matches(key, keys, n=3, cutoff=0.5)
        instead = f"; the closest labels are {listed(close)}" if close else ""
        return f"no node has a label {key}{instead}"
    return "each label exists, but no node has all of them"


Slots = Callable[[NodeFacts, int], int]


def _shortages(
    wanted: Wanted, cluster: Cluster, offer: Slots
) -> tuple[Shortage | None, Shortage | None, list[NodeFacts]]:
    """Of distinct nodes (by groups of stages that share a host), of slots, and the nodes as indexed."""
    nodes = [node for node in cluster.nodes if node.name not in cluster.barred]
    offering = [(i, node.labels) for i, node in enumerate(nodes) if offer(node, wanted.tensor)]
    found: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for s in wanted.stages:
        key = tuple(s.selector.items())
        if key not in found:
            found[key] = [i for i, labels_ in offering if matches(s.selector, labels_)]
    allowed = [found[tuple(s.selector.items())] for s in wanted.stages]
    leaders = [
        s.index
        for s in wanted.stages
        if not any(shares_host(s.selector, wanted.stages[earlier].selector) for earlier in range(s.index))
    ]
    distinct = shortage([1] * len(leaders), [1] * len(nodes), [allowed[leader] for leader in leaders])
    if distinct is not None:
        stages = tuple(leaders[i] for i in distinct.stages)
        distinct = Shortage(stages, distinct.nodes, distinct.demand, distinct.supply)
    supply = [offer(node, wanted.tensor) for node in nodes]
    return distinct, shortage([wanted.replicas] * len(allowed), supply, allowed), nodes


def _short(wanted: Wanted, cluster: Cluster, offer: Slots) -> str | None:
    """More is wanted than the nodes have, whoever holds their GPUs."""
    distinct, lacking, nodes = _shortages(wanted, cluster, offer)
    if distinct is not None:
        names = [nodes[i].name for i in distinct.nodes]
        return (
            f"{_stages(distinct.stages)} need {count(distinct.demand, 'node')}, for every stage has its own, "
            f"but only {_nodes(names)} may hold them{_left_out(cluster)}: write fewer stages, select more "
            "nodes, or let stages share a node by giving them the same kubernetes.io/hostname."
        )
    if lacking is not None:
        names = [nodes[i].name for i in lacking.nodes]
        gpus = sum(nodes[i].gpus for i in lacking.nodes)
        most = lacking.supply // len(lacking.stages)
        fewer = (
            f"write spec.replicas: {most}{' or less' if most > 1 else ''}" if most else "write fewer stages"
        )
        return (
            f"{count(wanted.replicas, 'replica')} x {count(len(lacking.stages), 'stage')} x "
            f"{count(wanted.tensor, 'GPU')} = {lacking.demand * wanted.tensor} GPUs for "
            f"{_stages(lacking.stages).lower()}, but {_nodes(names)} {'has' if len(names) == 1 else 'have'} "
            f"{count(gpus, 'GPU')}, room for {lacking.supply} of these {lacking.demand} stage pods"
            f"{_left_out(cluster)}: {fewer}, or add nodes."
        )
    return None


def _waiting(wanted: Wanted, cluster: Cluster) -> str | None:
    """The nodes would do, but others hold their GPUs."""
    distinct, lacking, nodes = _shortages(wanted, cluster, free_slots)
    if distinct is None and lacking is None:
        return None
    found = distinct or lacking
    assert found is not None
    busy = [
        node
        for node in nodes
        if node.gpus_held_by_others > 0
        and node.gpus >= wanted.tensor
        and any(matches(wanted.stages[i].selector, node.labels) for i in found.stages)
    ]
    held = listed(
        f"{node.name} (other pods hold {node.gpus_held_by_others} of its {count(node.gpus, 'GPU')})"
        for node in sorted(busy, key=lambda node: node.name)
    )
    return (
        f"waiting for GPUs on {held}: {_stages(found.stages, 'needs', 'need')} {count(wanted.tensor, 'free GPU')} "
        f"for each of {count(wanted.replicas, 'replica')}; it starts by itself when they are free."
    )


def _stages(indices: Sequence[int], one: str = "", many: str = "") -> str:
    """``Stage 0`` or ``Stages 0 and 1``; with a verb it stands inside a sentence."""
    name = f"Stage {indices[0]}" if len(indices) == 1 else f"Stages {listed(indices)}"
    if not one:
        return name
    return f"{name[0].lower()}{name[1:]} {one if len(indices) == 1 else many}"


def _nodes(names: Sequence[str]) -> str:
    return f"{count(len(names), 'node')} ({listed(sorted(names))})" if names else "no node"


def _left_out(cluster: Cluster) -> str:
    """Nodes that would count if they could take pods."""
    gpu_nodes = [n for n in cluster.nodes if n.gpus and n.name in cluster.barred]
    if not gpu_nodes:
        return ""
    return f" ({listed(f'{n.name} is left out: {cluster.barred[n.name]}' for n in gpu_nodes)})"
