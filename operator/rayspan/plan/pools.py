"""Nodes that are alike, as pools that stages are cut for: same GPU, same memory, open to the same stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rayspan.plan.facts import NodeFacts
from rayspan.plan.gpus import Gpu, gpu
from rayspan.plan.nodes import HOSTNAME, Stage, matches
from rayspan.plan.placement import Cluster, Slots

PRODUCT_LABELS: Final = ("nvidia.com/gpu.product", "amd.com/gpu.product-name", "gpu.intel.com/product")
"""Set by NVIDIA's feature discovery, AMD's and Intel's node labellers."""
NVIDIA_MEMORY: Final = "nvidia.com/gpu.memory"
"""In MiB."""
AMD_MEMORY: Final = ("amd.com/gpu.vram", "beta.amd.com/gpu.vram")
"""Such as 192G, counted in 1024s (the node labeller's main.go)."""
GPU_LABELS: Final = (*PRODUCT_LABELS, NVIDIA_MEMORY, *AMD_MEMORY)
"""What tells GPUs apart."""


@dataclass(frozen=True)
class Pool:
    """Nodes that are alike."""

    product: str | None
    memory: int | None
    """Bytes of one GPU; None: no label says."""
    nodes: tuple[NodeFacts, ...]
    stages: frozenset[int]
    """Which stages may use it."""
    labels: Mapping[str, str]
    """By which a pod finds these nodes and none of another pool; empty where there is only one."""

    @property
    def gpu(self) -> Gpu:
        """The constants of its product."""
        return gpu(self.product)

    def held(self, tensor: int, replicas: int, offer: Slots, alone: bool) -> int:
        """How many stages of ``tensor`` GPUs it can hold, each once per replica.

        ``alone``: a stage has its nodes for itself, though its own replicas may share one. Taking the largest nodes
        first is not always best, but never promises too much.
        """
        slots = sorted((offer(node, tensor) for node in self.nodes), reverse=True)
        if not alone:
            return sum(slots) // replicas
        stages = gathered = 0
        for free in slots:
            gathered += free
            if gathered >= replicas:
                stages, gathered = stages + 1, 0
        return stages


def pools(cluster: Cluster, stages: Sequence[Stage]) -> tuple[Pool, ...]:
    """The pools that ``stages`` may use, in a fixed order. A pipeline to be found is given as its longest."""
    groups: dict[tuple[str, int, frozenset[int]], list[NodeFacts]] = {}
    for node in cluster.nodes:
        if node.name in cluster.barred or not node.gpus:
            continue
        open_to = frozenset(stage.index for stage in stages if matches(stage.selector, node.labels))
        if open_to:
            key = (node.gpu_product or "", node.gpu_memory_bytes or 0, open_to)
            groups.setdefault(key, []).append(node)
    kinds = {(product, memory) for product, memory, _ in groups}
    return tuple(
        Pool(
            product or None,
            memory or None,
            tuple(nodes),
            open_to,
            _labels(nodes[0]) if len(kinds) > 1 else {},
        )
        for (product, memory, open_to), nodes in sorted(
            groups.items(), key=lambda item: (*item[0][:2], sorted(item[0][2]))
        )
    )


def _labels(node: NodeFacts) -> Mapping[str, str]:
    return {key: node.labels[key] for key in GPU_LABELS if key in node.labels}


def share_hosts(stages: Sequence[Stage]) -> bool:
    """Whether stages ask for one host together, by its name."""
    hosts = [stage.selector[HOSTNAME] for stage in stages if HOSTNAME in stage.selector]
    return len(hosts) > len(set(hosts))
