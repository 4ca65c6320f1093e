"""The cluster's nodes as the planner is told them: read once for all deployments, every few seconds."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from rayspan import errors
from rayspan.cluster import kinds
from rayspan.cluster.client import Client
from rayspan.cluster.covers import quantity
from rayspan.cluster.views import gpus_of
from rayspan.plan.facts import NodeFacts, Taint
from rayspan.plan.pools import AMD_MEMORY, NVIDIA_MEMORY, PRODUCT_LABELS
from rayspan.render import names
from rayspan.report.observed import Known, Unknown

GPU_RESOURCES: Final = ("nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe")
"""Extended resources that count GPUs, in the order in which a node is looked at."""
_NOT_ENDED: Final = "status.phase!=Succeeded,status.phase!=Failed"

Object = dict[str, Any]


KEPT_SECONDS: Final = 5.0
"""How long a reading serves: a node that is lost is seen well within the 30 s that a dead stage may take."""


class Nodes:
    """All nodes, and the pods that hold GPUs on them."""

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        self._client, self._clock = client, clock
        self._lock = asyncio.Lock()
        self._read_at = -math.inf
        self._nodes: list[Object] | Unknown = []
        self._pods: list[Object] = []

    async def read(self, namespace: str, name: str, *, anew: bool = False) -> Known[tuple[NodeFacts, ...]]:
        """All nodes; GPUs held by others are those of pods that are not the named deployment's.

        Where the operator may not list all pods (it serves some namespaces only), no GPU counts as held.
        ``anew``: no reading that began before this call will do; those who ask at the same time share one.
        """
        oldest = self._clock() - (0.0 if anew else KEPT_SECONDS)
        async with self._lock:
            if self._read_at <= oldest:
                await self._read()
        if isinstance(self._nodes, Unknown):
            return self._nodes
        return node_facts(self._nodes, (pod for pod in self._pods if not _belongs(pod, namespace, name)))

    async def _read(self) -> None:
        began = self._clock()
        try:
            self._nodes = await self._client.find(kinds.NODE)
        except errors.Forbidden as error:
            self._nodes = Unknown(f"nodes may not be listed: {error}")
        try:
            pods = await self._client.find(kinds.POD, fields=_NOT_ENDED)
        except errors.Forbidden:
            pods = []
        self._pods = [pod for pod in pods if any(gpus_of(pod["spec"], one) for one in GPU_RESOURCES)]
        self._read_at = began


def _belongs(pod: Object, namespace: str, name: str) -> bool:
    metadata = pod["metadata"]
    return (
        metadata["namespace"] == namespace
        and (metadata.get("labels") or {}).get(names.DEPLOYMENT_LABEL) == name
    )


def node_facts(nodes: Iterable[Object], other_pods: Iterable[Object]) -> tuple[NodeFacts, ...]:
    """Facts of each node, sorted by name."""
    held: Counter[tuple[str, str]] = Counter()
    for pod in other_pods:
        spec = pod.get("spec") or {}
        if node := spec.get("nodeName"):
            for resource in GPU_RESOURCES:
                held[node, resource] += gpus_of(spec, resource)
    return tuple(sorted((_facts(node, held) for node in nodes), key=lambda facts: facts.name))


def _facts(node: Object, held: Counter[tuple[str, str]]) -> NodeFacts:
    metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
    name, labels = metadata["name"], metadata.get("labels") or {}
    allocatable = status.get("allocatable") or {}
    resource = next((one for one in GPU_RESOURCES if quantity(allocatable.get(one, 0))), GPU_RESOURCES[0])
    ready: Object = next((one for one in status.get("conditions") or () if one["type"] == "Ready"), {})
    memory = labels.get(NVIDIA_MEMORY, "")
    amd = next((quantity(labels[one].removesuffix("B") + "i") for one in AMD_MEMORY if one in labels), None)
    size = int(memory) * 1024**2 if memory.isdigit() else int(amd) if amd else None
    return NodeFacts(
        name=name,
        labels=labels,
        taints=tuple(
            Taint(one["key"], one.get("value", ""), one["effect"]) for one in spec.get("taints") or ()
        ),
        gpus=int(quantity(allocatable.get(resource, 0)) or 0),
        gpu_resource=resource,
        gpus_held_by_others=held[name, resource],
        ready=ready.get("status") == "True",
        cordoned=bool(spec.get("unschedulable")),
        gpu_product=next((labels[one] for one in PRODUCT_LABELS if one in labels), None),
        gpu_memory_bytes=size,
    )
