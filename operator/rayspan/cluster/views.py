"""Objects of the Kubernetes API, as dicts, to the views that the report reads. Pure."""

from __future__ import annotations

from typing import Any, Final

from rayspan.cluster.covers import quantity
from rayspan.render import names, recorded_endpoint
from rayspan.report.moments import moment
from rayspan.report.observed import PodView, RayClusterView, RayServiceView, WorkerGroupView

_SUSPENDED: Final = frozenset({"RayClusterSuspending", "RayClusterSuspended"})
"""Conditions of a RayCluster whose pods KubeRay takes away, or has taken away."""
_QUEUE: Final = "kueue.x-k8s.io/queue-name"
_LAST_WORDS: Final = 600
"""Characters kept of what a container said last."""

Object = dict[str, Any]


def seconds(timestamp: str | None) -> float:
    """An RFC 3339 time as seconds since the epoch; 0: none."""
    return moment(timestamp) if timestamp else 0.0


def gpus_of(pod_spec: Object, resource: str) -> int:
    """Units of an extended resource that a pod's containers are limited to."""
    total = 0
    for container in pod_spec.get("containers") or ():
        amount = quantity(((container.get("resources") or {}).get("limits") or {}).get(resource, 0))
        total += int(amount or 0)
    return total


def pod_view(pod: Object, gpu_resource: str) -> PodView:
    """One Ray pod."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    labels = metadata.get("labels") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled", {})
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    waiting: Object = next(
        (
            one["state"]["waiting"]
            for one in containers
            if (one.get("state") or {}).get("waiting", {}).get("reason") not in (None, "PodInitializing")
        ),
        {},
    )
    return PodView(
        name=metadata["name"],
        uid=metadata["uid"],
        cluster=labels.get("ray.io/cluster", ""),
        group=labels.get("ray.io/group", ""),
        head=labels.get("ray.io/node-type") == "head",
        node=spec.get("nodeName"),
        ip=status.get("podIP"),
        phase=status.get("phase", "Unknown"),
        ready=conditions.get("Ready", {}).get("status") == "True",
        terminating=bool(metadata.get("deletionTimestamp")),
        restarts=sum(one.get("restartCount", 0) for one in status.get("containerStatuses") or ()),
        image=next(
            (
                one.get("image", "")
                for one in spec.get("containers") or ()
                if one.get("name") == names.RAY_CONTAINER
            ),
            next((one.get("image", "") for one in spec.get("containers") or ()), ""),
        ),
        created_at=seconds(metadata.get("creationTimestamp")),
        gpus=gpus_of(spec, gpu_resource),
        unschedulable=scheduled.get("message")
        if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
        else None,
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message"),
        last_exit=_last_exit(status, containers),
    )


def _last_exit(status: Object, containers: list[Object]) -> str | None:
    for one in containers:
        ended = (one.get("state") or {}).get("terminated") or (one.get("lastState") or {}).get("terminated")
        if not ended or (ended.get("reason") == "Completed" and ended.get("exitCode") == 0):
            continue
        words = (ended.get("message") or "").strip()[-_LAST_WORDS:]
        text = f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode')}"
        return f"{text}: {words}" if words else text
    if status.get("phase") == "Failed":
        return ": ".join(part for part in (status.get("reason"), status.get("message")) if part) or "Failed"
    return None


def ray_service_view(service: Object) -> RayServiceView:
    """The owned RayService."""
    metadata, status = service["metadata"], service.get("status") or {}
    active, pending = (
        (status.get(key) or {}).get("rayClusterName") or None
        for key in ("activeServiceStatus", "pendingServiceStatus")
    )
    annotations = metadata.get("annotations") or {}
    model, port = recorded_endpoint(annotations)
    return RayServiceView(
        generation=metadata.get("generation", 0),
        observed_generation=status.get("observedGeneration", 0),
        active_cluster=active,
        pending_cluster=pending,
        revision=annotations.get(names.REVISION),
        serve_revision=annotations.get(names.SERVE_REVISION),
        model=model,
        port=port,
    )


def ray_cluster_view(cluster: Object) -> RayClusterView:
    """A RayCluster."""
    spec, status = cluster.get("spec", {}), cluster.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or () if one.get("status") == "True"}
    suspend = spec.get("suspend")
    queued = _QUEUE in (cluster["metadata"].get("labels") or {})
    return RayClusterView(
        name=cluster["metadata"]["name"],
        groups=tuple(
            WorkerGroupView(
                name=one["groupName"],
                replicas=one.get("replicas") or 0,
                min_replicas=one.get("minReplicas"),
                max_replicas=one.get("maxReplicas"),
                workers_to_delete=tuple((one.get("scaleStrategy") or {}).get("workersToDelete") or ()),
            )
            for one in spec.get("workerGroupSpecs") or ()
        ),
        # Kueue suspends what waits in a queue. KubeRay's RayService controller takes an edited field away again,
        # but only an explicit false wakes a cluster that its RayCluster controller has put to sleep meanwhile.
        suspended=not queued
        and (bool(suspend) or (suspend is None and not _SUSPENDED.isdisjoint(conditions))),
        refused=(conditions.get("ReplicaFailure") or {}).get("message"),
    )
