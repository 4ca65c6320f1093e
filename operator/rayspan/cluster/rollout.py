"""Carry what was rendered to the cluster: apply it, replace an old RayCluster, scale those that run.

The Secret of the tokens may not be read: that it is missing shows only in pods that wait for it. So every
process writes it once, and again when a pod waits.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any, Final

from rayspan import errors
from rayspan.api.v1alpha1 import LLMDeployment, UpdateType
from rayspan.cluster import kinds, tokens
from rayspan.cluster.client import Client, owners
from rayspan.cluster.memory import Memory
from rayspan.plan.types import Plan
from rayspan.render import left_alone, names, recorded_plan, token_secret
from rayspan.render.scale import cluster_scale
from rayspan.report.observed import Observed, RayClusterView, Unknown
from rayspan.report.scene import CONFIG_REASONS

Object = dict[str, Any]

_SECRET_SECONDS: Final = 30.0
"""Least time between two writes of the Secret."""


async def roll_out(
    client: Client,
    deployment: LLMDeployment,
    wanted: tuple[Object, ...],
    memory: Memory,
    master_key: bytes,
    now: float,
) -> str | None:
    """Apply the Secret and what is wanted, or stop what runs for no replicas; the API server's no, in its words.

    RayClusters of another revision are deleted so that KubeRay makes a new one, but not with the strategy
    NewCluster: then it brings a second cluster up beside the first.
    """
    try:
        if not deployment.spec.replicas:
            await _stop(client, deployment)
        elif wanted:
            await _write_secret(client, deployment, memory, master_key, now)
            await _remove_policies(client, deployment, wanted, memory)
        for thing in wanted:
            if thing["kind"] != kinds.RAY_SERVICE.name:
                await client.apply(thing)
                continue
            live = await client.apply(thing, alone=partial(_left_alone, thing))
            if not live["metadata"].get("deletionTimestamp"):
                memory.rendered = live["metadata"]["annotations"]
                await _replace_old_clusters(client, deployment, live)
    except errors.KindMissing:
        return None  # the look that follows finds it missing as well
    except errors.ApiError as error:
        return error.message or str(error)
    return None


def _left_alone(wanted: Object, live: Object) -> bool:
    return left_alone(live["metadata"].get("annotations") or {}, wanted["metadata"]["annotations"])


async def _write_secret(
    client: Client, deployment: LLMDeployment, memory: Memory, master_key: bytes, now: float
) -> None:
    if not memory.secret_wanted or now - memory.secret_at < _SECRET_SECONDS:
        return
    uid = deployment.metadata.uid
    ray, probe = (tokens.derive(master_key, purpose, uid) for purpose in (tokens.RAY, tokens.PROBE))
    await client.apply_unread(token_secret(deployment, ray, probe))
    memory.secret_wanted, memory.secret_at = False, now


async def _remove_policies(
    client: Client, deployment: LLMDeployment, wanted: tuple[Object, ...], memory: Memory
) -> None:
    """Where no NetworkPolicies are wanted: remove those of an operator that was set otherwise. Looked for once."""
    if not memory.policies_left or any(thing["kind"] == kinds.NETWORK_POLICY.name for thing in wanted):
        return
    namespace, name = deployment.metadata.namespace, deployment.metadata.name
    for policy in (names.inner_policy(name), names.serving_policy(name)):
        live = await client.get(kinds.NETWORK_POLICY, namespace, policy)
        if live is not None and deployment.metadata.uid in owners(live):
            await client.delete(kinds.NETWORK_POLICY, namespace, policy, live["metadata"]["uid"])
    memory.policies_left = False


def lacks_secret(seen: Observed) -> bool:
    """Whether a pod waits for a Secret, which may be that of the tokens."""
    pods = () if isinstance(seen.pods, Unknown) else seen.pods
    return any(pod.waiting_reason in CONFIG_REASONS for pod in pods)


async def _replace_old_clusters(client: Client, deployment: LLMDeployment, service: Object) -> None:
    """Delete the RayClusters of this very RayService that were made from another revision of it."""
    if deployment.spec.update_strategy.type is not UpdateType.RECREATE:
        return
    namespace, name = deployment.metadata.namespace, deployment.metadata.name
    labels = f"{names.DEPLOYMENT_LABEL}={name}"
    for cluster in await client.find(kinds.RAY_CLUSTER, namespace, labels=labels):
        metadata = cluster["metadata"]
        made_from = (metadata.get("annotations") or {}).get(names.CLUSTER_REVISION)
        if made_from == service["metadata"]["annotations"][names.CLUSTER_REVISION] or metadata.get(
            "deletionTimestamp"
        ):
            continue
        if service["metadata"]["uid"] in owners(cluster):
            await client.delete(kinds.RAY_CLUSTER, namespace, metadata["name"], metadata["uid"])


async def _stop(client: Client, deployment: LLMDeployment) -> None:
    namespace, name = deployment.metadata.namespace, names.ray_service(deployment.metadata.name)
    live = await client.get(kinds.RAY_SERVICE, namespace, name)
    if live is None or live["metadata"].get("deletionTimestamp"):
        return
    if deployment.metadata.uid in owners(live):
        await client.delete(kinds.RAY_SERVICE, namespace, name, live["metadata"]["uid"])


async def scale(client: Client, deployment: LLMDeployment, plan: Plan, seen: Observed) -> None:
    """Give the RayCluster as many pods per stage as there are replicas wanted.

    While a second one is to take over, it is that one: KubeRay copied the counts when it made it and never
    does again, but tells only Serve there of a new number, which would wait for pods for ever. It only grows
    until it serves.
    """
    if isinstance(seen.pods, Unknown):
        return
    serve = None if isinstance(seen.serve, Unknown) else seen.serve
    cluster, known = (seen.pending_cluster, None) if seen.pending_cluster else (seen.ray_cluster, serve)
    if not isinstance(cluster, RayClusterView):
        return
    operations = cluster_scale(plan, deployment.spec.replicas, cluster, seen.pods, known)
    if operations:
        with suppress(errors.ApiError):  # the next pass sees what it was refused for
            await client.patch(kinds.RAY_CLUSTER, deployment.metadata.namespace, cluster.name, operations)


async def running_plan(client: Client, deployment: LLMDeployment, memory: Memory) -> Plan | None:
    """The plan of the live RayService: remembered, or read back once after a start; None: there is none.

    One of another owner, or one that is going, tells nothing: it is looked for again in the next pass.
    """
    if not memory.plan_read:
        namespace, name = deployment.metadata.namespace, names.ray_service(deployment.metadata.name)
        try:
            live = await client.get(kinds.RAY_SERVICE, namespace, name)
        except errors.KindMissing:
            live = None
        other = live is not None and (
            deployment.metadata.uid not in owners(live) or bool(live["metadata"].get("deletionTimestamp"))
        )
        memory.rendered = (live["metadata"].get("annotations") or {}) if live and not other else {}
        memory.plan = recorded_plan(memory.rendered)
        memory.plan_read = not other
    return memory.plan
