"""One look at everything that belongs to a deployment. Every source may fail; none fails the others.

What the Kubernetes API has (``Belongings``) is looked at when events say that there is something to see; Ray and the
engines send none, and are asked at every look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp

from rayspan import errors
from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.cluster import kinds, metrics, probe, tokens
from rayspan.cluster.client import Client
from rayspan.cluster.memory import Memory
from rayspan.cluster.proof import Entry, Proof, silent
from rayspan.cluster.ray import Dashboard
from rayspan.cluster.views import Object, pod_view, ray_cluster_view, ray_service_view
from rayspan.render import names
from rayspan.report.observed import (
    Known,
    Observed,
    PodView,
    RayClusterView,
    RayServiceView,
    ServeView,
    Unknown,
)
from rayspan.settings import Settings

_SCRAPE_SECONDS: Final = 10.0
"""Least time between two scrapes: Ray itself collects its metrics every 10 s."""
_TABLES_SECONDS: Final = 60.0
"""How long Ray's tables of actors and nodes do for what is Ready, as long as its pods are the same, Serve says nothing else
and completions are answered: three of the four requests of a look."""
_KUBERAY_VERSION: Final = "ray.io/kuberay-version"
_NO_KIND: Final = Unknown("this cluster does not know RayServices: KubeRay is not installed")


@dataclass(frozen=True)
class Belongings:
    """What the Kubernetes API has of a deployment."""

    service: Known[RayServiceView | None]
    cluster: Known[RayClusterView | None]
    """The one that serves, or is going to."""
    pods: Known[tuple[PodView, ...]]
    kuberay: str | None
    pending: RayClusterView | None
    """The one that is to take over."""


@dataclass(frozen=True)
class Observer:
    """The ways to look: the Kubernetes API, and a session for pods' own ports."""

    client: Client
    session: aiohttp.ClientSession
    settings: Settings
    master_key: bytes
    clock: Callable[[], float]

    def dashboard(self, head: PodView, uid: str) -> Dashboard:
        """The dashboard of a head pod."""
        token = tokens.derive(self.master_key, tokens.RAY, uid)
        return Dashboard(self.session, head.ip or "", token, self.settings.source_timeout_seconds)

    async def belongings(self, deployment: LLMDeployment, gpu_resource: str) -> Belongings:
        """Look at what the Kubernetes API has."""
        metadata = deployment.metadata
        service, clusters, pods = await asyncio.gather(
            self._service(metadata.namespace, metadata.name),
            self._clusters(metadata.namespace, metadata.name),
            self._pods(metadata.namespace, metadata.name, gpu_resource),
        )
        cluster = _serving_cluster(service, clusters)
        active = cluster["metadata"]["name"] if isinstance(cluster, dict) else None
        return Belongings(
            service=service,
            cluster=ray_cluster_view(cluster) if isinstance(cluster, dict) else cluster,
            pods=pods,
            kuberay=_version(cluster) if isinstance(cluster, dict) else None,
            pending=_pending_cluster(service, clusters, active),
        )

    async def observe(self, deployment: LLMDeployment, memory: Memory, api: Belongings) -> Observed:
        """Look once at the rest. ``memory`` keeps the scrapes and the proof of serving from look to look."""
        seen = () if isinstance(api.pods, Unknown) else api.pods
        active = api.cluster.name if isinstance(api.cluster, RayClusterView) else None
        serve = await self._serve(deployment, memory, seen, active)
        await self._scrape(seen, memory)
        entries = await self._prove(deployment, memory, api.service, seen, active, serve)
        return Observed(
            at=self.clock(),
            ray_service=api.service,
            ray_cluster=api.cluster,
            pods=api.pods,
            serve=serve,
            completion=memory.proof.completion,
            proofs=dict(memory.proof.replicas),
            silent=silent(entries, memory.proof),
            scrapes=memory.window.all(),
            kuberay=api.kuberay,
            ray_service_kind=api.service != _NO_KIND,
            pending_cluster=api.pending,
        )

    async def _service(self, namespace: str, name: str) -> Known[RayServiceView | None]:
        try:
            found = await self.client.get(kinds.RAY_SERVICE, namespace, name)
        except errors.KindMissing:
            return _NO_KIND
        except errors.RayspanError as error:
            return Unknown(f"the RayService cannot be read: {error}")
        return ray_service_view(found) if found else None

    async def _clusters(self, namespace: str, name: str) -> Known[list[Object]]:
        try:
            return await self.client.find(
                kinds.RAY_CLUSTER, namespace, labels=f"{names.DEPLOYMENT_LABEL}={name}"
            )
        except errors.KindMissing:
            return _NO_KIND
        except errors.RayspanError as error:
            return Unknown(f"RayClusters cannot be read: {error}")

    async def _pods(self, namespace: str, name: str, gpu_resource: str) -> Known[tuple[PodView, ...]]:
        try:
            found = await self.client.find(
                kinds.POD, namespace, labels=f"{names.DEPLOYMENT_LABEL}={name},ray.io/cluster"
            )
        except errors.RayspanError as error:
            return Unknown(f"pods cannot be read: {error}")
        views = (pod_view(pod, gpu_resource) for pod in found)
        return tuple(sorted(views, key=lambda pod: (not pod.head, pod.group, pod.name)))

    async def _serve(
        self, deployment: LLMDeployment, memory: Memory, pods: tuple[PodView, ...], cluster: str | None
    ) -> Known[ServeView | None]:
        now, before = self.clock(), memory.serve
        memory.serve = None
        head = next((pod for pod in pods if pod.head and pod.cluster == cluster and _reachable(pod)), None)
        if head is None:
            return None
        try:
            seen = await self.dashboard(head, deployment.metadata.uid).serve(
                names.application(deployment.metadata.name),
                pods,
                before if 0 <= now - memory.serve_at < _TABLES_SECONDS else None,
            )
        except errors.SourceFailed as error:
            return Unknown(str(error))
        if seen is not before:
            memory.serve_at = now
        memory.serve = seen
        return seen.whole if seen else None

    async def _scrape(self, pods: tuple[PodView, ...], memory: Memory) -> None:
        now = self.clock()
        if now - memory.scraped_at < _SCRAPE_SECONDS:
            return
        # On the head nobody is served.
        running = [pod for pod in pods if _reachable(pod) and not pod.head]
        timeout = self.settings.source_timeout_seconds
        scrapes = await metrics.scrape_pods(self.session, running, now, timeout)
        memory.window.add(scrapes, now)
        memory.scraped_at = now
        memory.proof.note(scrapes, now)

    async def _prove(
        self,
        deployment: LLMDeployment,
        memory: Memory,
        service: Known[RayServiceView | None],
        pods: tuple[PodView, ...],
        cluster: str | None,
        serve: Known[ServeView | None],
    ) -> list[Entry]:
        """Ask for the completions that are due; the ways in that there are."""
        proof, metadata, settings = memory.proof, deployment.metadata, self.settings
        if serve is None or deployment.spec.replicas == 0:
            memory.proof = Proof()
            return []
        # While Ray's dashboard is away, the replicas that it named last go on being asked.
        running = (
            list(proof.replicas)
            if isinstance(serve, Unknown)
            else [one.id for one in serve.replicas if one.state == "RUNNING"]
        )
        entries = _entries(serve, [pod for pod in pods if pod.cluster == cluster and _reachable(pod)])
        if running and entries:
            entries += await self._service_entry(metadata.namespace, metadata.name, cluster, proof)
        probes = proof.due(running, entries, self.clock(), settings.proof_seconds)
        live = service if isinstance(service, RayServiceView) else None
        answers = await asyncio.gather(
            *(
                probe.complete(
                    self.session,
                    one.entry.host,
                    one.replica,
                    port=(live and live.port) or deployment.spec.serving.port,
                    model=(live and live.model) or deployment.spec.model.id,
                    token=tokens.derive(self.master_key, tokens.PROBE, metadata.uid),
                    timeout_seconds=settings.probe_timeout_seconds,
                    clock=self.clock,
                )
                for one in probes
            )
        )
        for one, answer in zip(probes, answers, strict=True):
            proof.took(one, answer)
        return entries

    async def _service_entry(
        self, namespace: str, name: str, cluster: str | None, proof: Proof
    ) -> list[Entry]:
        """The Service that KubeRay makes once something serves. Proven for a cluster, it is not read again."""
        key, named = f"Service of {cluster}", names.serve_service(name)
        if key in proof.entries:
            return []
        try:
            found = await self.client.get(kinds.SERVICE, namespace, named)
        except errors.RayspanError:
            found = None
        address = (found or {}).get("spec", {}).get("clusterIP") or ""
        return [Entry(key, f"the Service {named}", address)]


def _reachable(pod: PodView) -> bool:
    return pod.ip is not None and pod.phase == "Running" and not pod.terminating


def _entries(serve: Known[ServeView | None], pods: list[PodView]) -> list[Entry]:
    """Worker pods that take requests: those with an ingress, or all where Ray does not say."""
    workers = [pod for pod in pods if not pod.head]
    if isinstance(serve, ServeView):
        taking = {one.pod for one in serve.ingresses if one.state == "RUNNING"}
        workers = [pod for pod in workers if pod.name in taking]
    return [Entry(pod.uid, f"pod {pod.name}", pod.ip or "") for pod in workers]


def _serving_cluster(
    service: Known[RayServiceView | None], clusters: Known[list[Object]]
) -> Known[Object | None]:
    """The RayCluster that serves, or that is going to: the active one, else the pending one, else the newest."""
    if isinstance(clusters, Unknown):
        return clusters
    named = {one["metadata"]["name"]: one for one in clusters if not one["metadata"].get("deletionTimestamp")}
    if isinstance(service, RayServiceView):
        for name in (service.active_cluster, service.pending_cluster):
            if name in named:
                return named[name]
    newest = sorted(named.values(), key=lambda one: one["metadata"].get("creationTimestamp") or "")
    return newest[-1] if newest else None


def _pending_cluster(
    service: Known[RayServiceView | None], clusters: Known[list[Object]], serving: str | None
) -> RayClusterView | None:
    """The RayCluster that is to take over from the serving one."""
    if isinstance(clusters, Unknown) or not isinstance(service, RayServiceView):
        return None
    for one in clusters:
        name, going = one["metadata"]["name"], one["metadata"].get("deletionTimestamp")
        if name == service.pending_cluster != serving and not going:
            return ray_cluster_view(one)
    return None


def _version(cluster: Object) -> str | None:
    version: str | None = (cluster["metadata"].get("annotations") or {}).get(_KUBERAY_VERSION)
    return version
