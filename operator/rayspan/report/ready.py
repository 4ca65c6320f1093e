"""Checks over the other conditions: Ready and Degraded.

Ready is the strictest: it repeats the first condition that is False, in order of diagnosis, then the
first that is Unknown, and has questions of its own that none of the others asks.
"""

from __future__ import annotations

from typing import Final

from rayspan.api.conditions import ConditionType, Reason
from rayspan.plan.types import Plan
from rayspan.report.input import Inspecting
from rayspan.report.placement import LOST, StageState, named
from rayspan.report.scene import Finding, Scene, false, true, unknown
from rayspan.report.words import count, listing, quote

POD_REASONS: Final = (
    Reason.POD_REFUSED,
    Reason.POD_UNSCHEDULABLE,
    Reason.IMAGE_PULL_FAILED,
    Reason.REFERENCE_MISSING,
    Reason.POD_CRASHING,
    Reason.POD_LOST,
    Reason.PODS_PENDING,
)
"""Reasons that concern single pods, so that other replicas may go on serving."""


def not_accepted(scene: Scene) -> Finding | None:
    """The newest spec has no plan: whatever runs is not what is wanted."""
    if isinstance(scene.given.answer, Plan):
        return None
    plan = scene.found[ConditionType.PLAN_ACCEPTED]
    if isinstance(scene.given.answer, Inspecting) or not scene.is_true(ConditionType.SERVING):
        return false(plan.reason, plan.message)
    return false(
        Reason.LAST_GOOD_SERVING, f"The newest spec was refused, the last good one serves: {plan.message}"
    )


def not_made(scene: Scene) -> Finding | None:
    """Not provisioned, for a reason that concerns all replicas."""
    provisioned = scene.found[ConditionType.PROVISIONED]
    return provisioned if provisioned.status == "False" and provisioned.reason not in POD_REASONS else None


def replicas_missing(scene: Scene) -> Finding | None:
    """Some replicas serve, others do not."""
    if not scene.is_true(ConditionType.SERVING) or not 0 < scene.ready < scene.desired:
        return None
    return false(Reason.REPLICAS_MISSING, f"{scene.ready} of {scene.desired} replicas serve.", _cause(scene))


def pods_missing(scene: Scene) -> Finding | None:
    """Not provisioned, and a pod says why."""
    provisioned = scene.found[ConditionType.PROVISIONED]
    return (
        provisioned if provisioned.status == "False" and provisioned.reason != Reason.PODS_PENDING else None
    )


def pods_pending(scene: Scene) -> Finding | None:
    """Not provisioned, with no more to say than that."""
    provisioned = scene.found[ConditionType.PROVISIONED]
    return provisioned if provisioned.status == "False" else None


def application_failed(scene: Scene) -> Finding | None:
    """Ray Serve gave up."""
    serving = scene.found[ConditionType.SERVING]
    return serving if serving.reason == Reason.APPLICATION_FAILED else None


def stage_lost(scene: Scene) -> Finding | None:
    """A stage of a replica died under running pods, or a pod that it needs is going."""
    if scene.ready >= scene.desired:
        return None  # what goes is one replica too many
    if scene.found[ConditionType.SERVING].reason == Reason.APPLICATION_FAILED:
        return None  # Ray Serve gave up, stages that it stops are only the echo
    for stage in scene.placement.stages if scene.placement else ():
        if stage.state in LOST and stage.why:
            return false(Reason.STAGE_LOST, stage.why)
    return None


def deploying(scene: Scene) -> Finding | None:
    """The stages that are missing are on their way."""
    serving = scene.found[ConditionType.SERVING]
    return serving if serving.reason == Reason.APPLICATION_DEPLOYING else None


def not_placed(scene: Scene) -> Finding | None:
    """A stage is not where it belongs."""
    placed = scene.found[ConditionType.PLACEMENT_VERIFIED]
    return placed if placed.status == "False" else None


def not_serving(scene: Scene) -> Finding | None:
    """Completions fail."""
    serving = scene.found[ConditionType.SERVING]
    return serving if serving.status == "False" else None


def application_not_running(scene: Scene) -> Finding | None:
    """Ray Serve itself says that it is not done or not well."""
    serve = scene.serve
    if serve is None or serve.status == "RUNNING":
        return None
    failed = serve.status in ("DEPLOY_FAILED", "UNHEALTHY")
    reason = Reason.APPLICATION_FAILED if failed else Reason.APPLICATION_DEPLOYING
    return false(reason, f"Ray Serve says {serve.status}.", quote(serve.message))


def replicas_differ(scene: Scene) -> Finding | None:
    """More replicas than wanted, or fewer without a cause that was named above."""
    there = sum(not place.going for place in scene.placement.replicas) if scene.placement else scene.desired
    if there > scene.desired:
        return false(Reason.UPDATING, f"{count(there, 'replica')} run, {scene.desired} wanted.")
    return None


def application_outdated(scene: Scene) -> Finding | None:
    """What Serve runs is built from other arguments than the RayService has: KubeRay submits them by and by."""
    serve, service = scene.serve, scene.ray_service
    if serve is None or service is None or service.serve_revision in (None, serve.revision):
        return None
    return false(Reason.UPDATING, "Ray Serve does not have the newest arguments yet.")


def replica_unproven(scene: Scene) -> Finding | None:
    """A replica does not answer, whatever the others do."""
    if not scene.unproven or scene.found[ConditionType.SERVING].status == "Unknown":
        return None
    return false(*scene.unproven[0])


def way_unproven(scene: Scene) -> Finding | None:
    """A serving pod, or the Service, lets nothing through yet."""
    silent = scene.given.observed.silent
    if not silent:
        return None
    return false(Reason.NOT_REACHED, f"No completion came through {listing(silent)} yet.")


def no_endpoint(scene: Scene) -> Finding | None:
    """The Service names only pods that are ready."""
    unready = [pod for pod in scene.pods if not pod.head and not pod.terminating and not pod.ready]
    if not unready:
        return None
    return false(Reason.PODS_PENDING, f"Not ready, so the Service leaves it out: {named(unready[0])}.")


def something_unknown(scene: Scene) -> Finding | None:
    """Nothing is known to be wrong, but something is not known."""
    for condition in (ConditionType.PROVISIONED, ConditionType.PLACEMENT_VERIFIED, ConditionType.SERVING):
        if (finding := scene.found[condition]).status == "Unknown":
            return unknown(finding.reason, finding.message)
    return None


def ready(scene: Scene) -> Finding | None:
    """All that was asked for serves."""
    return true(Reason.REPLICAS_READY, f"{scene.ready} of {scene.desired} replicas serve.")


# -------------------------------------------------------------------------------------------- Degraded


def serves_not(scene: Scene) -> Finding | None:
    """Degraded is said of what serves."""
    serving = scene.found[ConditionType.SERVING]
    if serving.status == "Unknown":
        return unknown(Reason.UNOBSERVED, "Whether it serves is not known.")
    return None if serving.status == "True" else false(Reason.NOT_REACHED, "It does not serve at all.")


def last_good(scene: Scene) -> Finding | None:
    """The newest spec was refused."""
    finding = scene.found[ConditionType.READY]
    return true(finding.reason, finding.message) if finding.reason == Reason.LAST_GOOD_SERVING else None


def lacking(scene: Scene) -> Finding | None:
    """A replica, a stage's place, or the head is not as wanted."""
    finding = scene.found[ConditionType.READY]
    if finding.status == "False" and finding.reason in _DEGRADING:
        return true(finding.reason, finding.message)
    return None


def healthy(scene: Scene) -> Finding | None:
    """Nothing is degraded."""
    return false(Reason.HEALTHY, "Nothing is degraded.")


_DEGRADING: Final = (
    *(reason for reason in POD_REASONS if reason != Reason.PODS_PENDING),
    Reason.REPLICAS_MISSING,
    Reason.HEAD_LOST,
    Reason.STAGE_LOST,
    Reason.STAGES_MISSING,
    Reason.MISPLACED,
    Reason.TENSOR_RANKS_SPLIT,
    Reason.APPLICATION_FAILED,
    Reason.PROXY_FAILED,
    Reason.NO_COMPLETION,
)


def _cause(scene: Scene) -> str:
    provisioned = scene.found[ConditionType.PROVISIONED]
    if provisioned.status == "False" and provisioned.reason != Reason.PODS_PENDING:
        return provisioned.message
    stages = scene.placement.stages if scene.placement else []
    worst = [s for s in stages if s.state in LOST] + [s for s in stages if s.state is not StageState.RUNNING]
    if worst:
        return worst[0].why
    if scene.unproven:
        return scene.unproven[0][1]
    if provisioned.status == "False":
        return provisioned.message
    return quote(scene.serve.message) if scene.serve else ""
