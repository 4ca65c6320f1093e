"""Carry a changed number of replicas to an existing RayCluster, as a JSON patch.

KubeRay ignores the groups' counts in a RayService whose cluster exists, so the RayCluster itself is patched.
Up: at once. Down: only when Serve runs no more replicas than wanted, and by naming the pods that hold no
rank in ``scaleStrategy.workersToDelete``. Bounds that someone edited are put back with the counts, and a
cluster that someone suspended is woken.

How KubeRay 1.6.2 takes it (``reconcilePods`` in raycluster_controller.go): named pods are deleted first,
whatever the count; then it compares the count with all other pods of the group, *terminating ones among
them*, and deletes the surplus at random, from the front of its list. It never clears the names. So counts
and names travel in one patch; a pod that is going anyway is named too, first of all; and a name is dropped
only when its pod is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from rayspan.plan.types import Plan
from rayspan.render import names


class Group(Protocol):
    """A worker group of the RayCluster."""

    @property
    def name(self) -> str: ...
    @property
    def replicas(self) -> int: ...
    @property
    def min_replicas(self) -> int | None: ...
    @property
    def max_replicas(self) -> int | None: ...
    @property
    def workers_to_delete(self) -> tuple[str, ...]: ...


class Cluster(Protocol):
    """The RayCluster; groups in the order of its spec."""

    @property
    def name(self) -> str: ...
    @property
    def groups(self) -> Sequence[Group]: ...
    @property
    def suspended(self) -> bool: ...


class Pod(Protocol):
    """A pod of any of the deployment's clusters."""

    @property
    def name(self) -> str: ...
    @property
    def cluster(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def node(self) -> str | None: ...
    @property
    def ready(self) -> bool: ...
    @property
    def terminating(self) -> bool: ...
    @property
    def created_at(self) -> float: ...


class Rank(Protocol):
    """One vLLM worker."""

    @property
    def state(self) -> str: ...
    @property
    def pod(self) -> str | None: ...


class Replica(Protocol):
    """One replica that holds an engine."""

    @property
    def pod(self) -> str | None: ...
    @property
    def ranks(self) -> Sequence[Rank]: ...


class Serve(Protocol):
    """The Serve application."""

    @property
    def replicas(self) -> Sequence[Replica]: ...


def cluster_scale(
    plan: Plan, wanted: int, cluster: Cluster, pods: Iterable[Pod], serve: Serve | None
) -> list[dict[str, Any]] | None:
    """The patch that brings the groups towards ``wanted`` pods each; None: nothing to do, or not yet.

    ``serve`` None: not known, or not running there yet; then nothing is scaled down.
    """
    present = [pod for pod in pods if pod.cluster == cluster.name]
    busy = _busy(plan, wanted, serve)
    ours = {names.worker_group(stage.index) for stage in plan.stages}
    patch: list[dict[str, Any]] = []
    if cluster.suspended:
        patch.append({"op": "add", "path": "/spec/suspend", "value": False})
    for index, group in enumerate(cluster.groups):
        counts = {group.replicas, group.min_replicas, group.max_replicas}
        if group.name not in ours or counts == {wanted}:
            continue
        members = [pod for pod in present if pod.group == group.name]
        going = _going(group, members, wanted, busy)
        if going is not None:
            patch += _operations(index, group.name, wanted, going)
    return patch or None


def _busy(plan: Plan, wanted: int, serve: Serve | None) -> frozenset[str] | None:
    """Pods that hold a rank or a replica; None: not known for sure, or Serve has not come down yet."""
    if serve is None or len(serve.replicas) > wanted:
        return None
    pods: set[str] = set()
    for replica in serve.replicas:
        held = [rank.pod for rank in replica.ranks if rank.state != "DEAD"]
        if replica.pod is None or None in held or len(held) < plan.gpus_per_replica:
            return None
        pods.add(replica.pod)
        pods.update(pod for pod in held if pod is not None)
    return frozenset(pods)


def _going(
    group: Group, members: Sequence[Pod], wanted: int, busy: frozenset[str] | None
) -> list[str] | None:
    """Names for ``workersToDelete``; None: the group has to wait."""
    named = {pod.name for pod in members if pod.name in group.workers_to_delete}
    if wanted >= _desired(group):
        return sorted(named)
    if busy is None:
        return None
    staying = [pod for pod in members if pod.name not in named]
    idle = [pod for pod in staying if pod.terminating or pod.name not in busy]
    idle.sort(
        key=lambda pod: (not pod.terminating, pod.node is not None, pod.ready, -pod.created_at, pod.name)
    )
    surplus = max(0, len(staying) - wanted)
    if surplus > len(idle):
        return None
    return sorted(named | {pod.name for pod in idle[:surplus]})


def _desired(group: Group) -> int:
    """The pods that KubeRay keeps of a group: its count within its bounds, of which the lower one wins."""
    low = group.min_replicas or 0
    high = group.replicas if group.max_replicas is None else group.max_replicas
    return low if group.replicas < low else min(group.replicas, high)


def _operations(index: int, name: str, wanted: int, going: list[str]) -> list[dict[str, Any]]:
    path = f"/spec/workerGroupSpecs/{index}"
    return [
        {"op": "test", "path": f"{path}/groupName", "value": name},
        {"op": "add", "path": f"{path}/minReplicas", "value": wanted},
        {"op": "add", "path": f"{path}/maxReplicas", "value": wanted},
        {"op": "add", "path": f"{path}/replicas", "value": wanted},
        {"op": "add", "path": f"{path}/scaleStrategy", "value": {"workersToDelete": going}},
    ]
