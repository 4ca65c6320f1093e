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
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
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
Held = Counter[tuple[str, str]]
"""GPUs by node and resource."""

log = logging.getLogger("rayspan.nodes")

READING_SHARE: Final = 0.05
"""At most this share of the time goes for readings: that of a large cluster takes long, and serves for a while."""
READING_SHARE_ANEW: Final = 0.2
"""The same where one is wanted anew, however many want it."""
KEPT_SECONDS: Final = 5.0
"""How long a reading serves: a node that is lost is seen well within the 30 s that a dead stage may take."""
SEEN_SECONDS: Final = 60.0
"""How long a reading serves for a look at what is Ready: a node that is lost shows in its pods."""
LONG_SECONDS: Final = 0.1
"""What an edit may be kept waiting for a reading."""
REFUSED_SECONDS: Final = 60.0
"""How long a refusal serves: roles change seldom, and every refused request stands in the cluster's audit log."""


class Nodes:
    """All nodes, and the pods that hold GPUs on them; those in ``namespaces``, where the operator serves only some."""

    def __init__(self, client: Client, clock: Callable[[], float], namespaces: Sequence[str] = ()) -> None:
        self._client, self._clock, self._namespaces = client, clock, namespaces
        self._lock = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None
        self._read_at = self._refused_at = -math.inf
        self._took = 0.0
        self._facts: Known[tuple[NodeFacts, ...]] = ()
        self._held: dict[tuple[str, str], Held] = {}

    async def read(
        self, namespace: str, name: str, *, age: float = KEPT_SECONDS
    ) -> Known[tuple[NodeFacts, ...]]:
        """All nodes; GPUs held by others are those of pods that are not the named deployment's.

        Where the operator serves some namespaces only, GPUs held in others count as free.
        ``age``: seconds that a reading may be old, unless readings take so long that they are shared; those who ask
        at the same time share one. Where readings take longer than ``LONG_SECONDS``, an older one serves once more while
        it is renewed, unless it is as old as ``SEEN_SECONDS``, or ``age`` is 0.
        """
        now = self._clock()
        oldest = now - max(age, self._took * (1 / (READING_SHARE if age else READING_SHARE_ANEW) - 1))
        if not age or self._took < LONG_SECONDS or self._read_at <= now - SEEN_SECONDS:
            await self._read_since(oldest)
        elif self._read_at <= oldest and (self._renewal is None or self._renewal.done()):
            self._renewal = asyncio.create_task(self._renew(oldest))
        own = self._held.get((namespace, name))
        if own is None or isinstance(self._facts, Unknown):
            return self._facts
        return tuple(
            replace(one, gpus_held_by_others=one.gpus_held_by_others - own[one.name, one.gpu_resource])
            if (one.name, one.gpu_resource) in own
            else one
            for one in self._facts
        )

    async def seen(self, namespace: str, name: str) -> Known[tuple[NodeFacts, ...]]:
        """Nodes as they were read last, a minute ago at most; where they may not be listed, those that pods vouch for."""
        nodes = await self.read(namespace, name, age=SEEN_SECONDS)
        return await self.vouched_for(namespace, name) if isinstance(nodes, Unknown) else nodes

    async def vouched_for(self, namespace: str, name: str) -> Known[tuple[NodeFacts, ...]]:
        """Nodes that run a deployment's pods, with the labels that those pods' selectors prove."""
        try:
            pods = await self._client.find(kinds.POD, namespace, labels=f"{names.DEPLOYMENT_LABEL}={name}")
        except errors.RayspanError as error:
            return Unknown(f"pods cannot be read: {error}")
        return vouched_facts(pods)

    async def _renew(self, oldest: float) -> None:
        try:
            await self._read_since(oldest)
        except errors.RayspanError as error:
            log.debug("nodes cannot be read: %s", error)  # the next one who has to wait says so

    async def _read_since(self, oldest: float) -> None:
        async with self._lock:
            if self._read_at <= oldest:
                await self._read()

    async def _read(self) -> None:
        began = self._clock()
        if began - self._refused_at < REFUSED_SECONDS:
            return
        try:
            nodes = await self._client.find(kinds.NODE)
        except errors.Forbidden as error:
            if not isinstance(self._facts, Unknown):
                log.warning(
                    "nodes may not be listed: what spec.parallelism leaves out is 1, no plan is checked against the "
                    "cluster, and placement is verified by the pods' own selectors (the chart's value listNodes)"
                )
            self._facts, self._held = Unknown(f"nodes may not be listed: {error}"), {}
            self._refused_at = began
            return
        total: Held = Counter()
        held: dict[tuple[str, str], Held] = {}
        for namespace in self._namespaces or (None,):
            async for pod in self._pods(namespace):
                gpus = held_by(pod)
                total.update(gpus)
                if gpus and (deployment := (pod["metadata"].get("labels") or {}).get(names.DEPLOYMENT_LABEL)):
                    held.setdefault((pod["metadata"]["namespace"], deployment), Counter()).update(gpus)
        self._facts, self._held = node_facts(nodes, total), held
        self._read_at, self._took = began, self._clock() - began

    async def _pods(self, namespace: str | None) -> AsyncIterator[Object]:
        try:
            async for page in self._client.pages(kinds.POD, namespace, fields=_NOT_ENDED):
                for pod in page:
                    yield pod
        except errors.Forbidden:
            return


def held_by(pod: Object) -> Held:
    """GPUs that a pod holds on its node."""
    spec = pod.get("spec") or {}
    found = {(spec.get("nodeName", ""), resource): gpus_of(spec, resource) for resource in GPU_RESOURCES}
    return Counter({place: gpus for place, gpus in found.items() if gpus and place[0]})


def node_facts(nodes: Iterable[Object], held: Held) -> tuple[NodeFacts, ...]:
    """Facts of each node, sorted by name."""
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
        ({"metadata": {"name": name, "labels": known}, "status": ready} for name, known in labels.items()),
        Counter(),
    )


def _facts(node: Object, held: Held) -> NodeFacts:
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
