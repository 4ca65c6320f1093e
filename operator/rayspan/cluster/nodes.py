"""The cluster's nodes as the planner is told them: read once for all deployments, every few seconds.

An operator that serves some namespaces only may not list nodes, for that takes a grant in the whole cluster. Then
the planner is told nothing of them, and the report what the pods vouch for (:meth:`Nodes.vouched_for`): a pod runs only
where its ``nodeSelector`` agrees with the node's labels, by the scheduler's choice and by the kubelet's own check when
it takes the pod in. So a node that runs such a pod is known to have those labels, and nothing else is known of it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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

log = logging.getLogger("rayspan.nodes")

KEPT_SECONDS: Final = 5.0
"""How long a reading serves: a node that is lost is seen well within the 30 s that a dead stage may take."""
REFUSED_SECONDS: Final = 60.0
"""How long a refusal serves: roles change seldom, and every refused request stands in the cluster's audit log."""


class Nodes:
    """All nodes, and the pods that hold GPUs on them; those in ``namespaces``, where the operator serves only some."""

    def __init__(self, client: Client, clock: Callable[[], float], namespaces: Sequence[str] = ()) -> None:
        self._client, self._clock, self._namespaces = client, clock, namespaces
        self._lock = asyncio.Lock()
        self._read_at = self._refused_at = -math.inf
        self._nodes: list[Object] | Unknown = []
        self._pods: list[Object] = []

    async def read(self, namespace: str, name: str, *, anew: bool = False) -> Known[tuple[NodeFacts, ...]]:
        """All nodes; GPUs held by others are those of pods that are not the named deployment's.

        Where the operator serves some namespaces only, GPUs held in others count as free.
        ``anew``: no reading that began before this call will do; those who ask at the same time share one.
        """
        oldest = self._clock() - (0.0 if anew else KEPT_SECONDS)
        async with self._lock:
            if self._read_at <= oldest:
                await self._read()
        if isinstance(self._nodes, Unknown):
            return self._nodes
        return node_facts(self._nodes, (pod for pod in self._pods if not _belongs(pod, namespace, name)))

    async def vouched_for(self, namespace: str, name: str) -> Known[tuple[NodeFacts, ...]]:
        """Nodes that run a deployment's pods, with the labels that those pods' selectors prove."""
        try:
            pods = await self._client.find(kinds.POD, namespace, labels=f"{names.DEPLOYMENT_LABEL}={name}")
        except errors.RayspanError as error:
            return Unknown(f"pods cannot be read: {error}")
        return vouched_facts(pods)

    async def _read(self) -> None:
        began = self._clock()
        if began - self._refused_at < REFUSED_SECONDS:
            return
        try:
            self._nodes = await self._client.find(kinds.NODE)
        except errors.Forbidden as error:
            if not isinstance(self._nodes, Unknown):
                log.warning(
                    "nodes may not be listed: what spec.parallelism leaves out is 1, no plan is checked against the "
                    "cluster, and placement is verified by the pods' own selectors (the chart's value listNodes)"
                )
            self._nodes, self._pods, self._refused_at = (
                Unknown(f"nodes may not be listed: {error}"),
                [],
                began,
            )
            return
        found = [await self._pods_in(namespace) for namespace in self._namespaces or (None,)]
        self._pods = [
            pod for pods in found for pod in pods if any(gpus_of(pod["spec"], one) for one in GPU_RESOURCES)
        ]
        self._read_at = began

    async def _pods_in(self, namespace: str | None) -> list[Object]:
        try:
            return await self._client.find(kinds.POD, namespace, fields=_NOT_ENDED)
        except errors.Forbidden:
            return []


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


def vouched_facts(pods: Iterable[Object]) -> tuple[NodeFacts, ...]:
    """Facts of the nodes that pods run on, from what had to hold for them to run there; sorted by name."""
    labels: dict[str, dict[str, str]] = {}
    for pod in pods:
        spec, phase = pod.get("spec") or {}, (pod.get("status") or {}).get("phase")
        # A pod that is bound and still Pending may yet be turned away by the kubelet.
        if phase == "Running" and (node := spec.get("nodeName")):
            labels.setdefault(node, {}).update(spec.get("nodeSelector") or {})
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    return node_facts(
        ({"metadata": {"name": name, "labels": known}, "status": ready} for name, known in labels.items()), ()
    )


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
