"""Checks from the spec to running pods: PlanAccepted and Provisioned, in order of diagnosis."""

from __future__ import annotations

from rayspan.api.conditions import Reason
from rayspan.plan.types import Invalid, Plan, Unplaceable
from rayspan.report.input import Inspecting, Refused
from rayspan.report.observed import PodView, Unknown
from rayspan.report.placement import named, stage_of
from rayspan.report.scene import (
    CONFIG_REASONS,
    IMAGE_REASONS,
    Finding,
    Scene,
    false,
    known,
    trouble,
    true,
    unknown,
    unobserved,
)
from rayspan.report.words import capital, count, listing, quote

# ---------------------------------------------------------------------------------------- PlanAccepted


def refused(scene: Scene) -> Finding | None:
    """Model, image or a reference was found wanting before anything was planned."""
    answer = scene.given.answer
    return false(answer.reason, answer.message) if isinstance(answer, Refused) else None


def inspecting(scene: Scene) -> Finding | None:
    """There is no answer yet."""
    answer = scene.given.answer
    if not isinstance(answer, Inspecting):
        return None
    words = f"It waits: {quote(answer.detail)}" if answer.detail else ""
    return unknown(Reason.INSPECTING, "A Job reads the model's facts and the image's versions.", words)


def invalid(scene: Scene) -> Finding | None:
    """Only an edit helps."""
    answer = scene.given.answer
    return false(Reason.INVALID_SPEC, answer.message) if isinstance(answer, Invalid) else None


def unplaceable(scene: Scene) -> Finding | None:
    """An edit helps, and so may another node."""
    answer = scene.given.answer
    return false(Reason.UNPLACEABLE, answer.message) if isinstance(answer, Unplaceable) else None


def planned(scene: Scene) -> Finding | None:
    """There is a plan."""
    plan = scene.given.answer
    if not isinstance(plan, Plan):
        return None
    layers = "+".join(str(layers) for layers in plan.layers)
    return true(
        Reason.PLANNED, f"{plan.layout}, layers {layers}, {count(plan.gpus_per_replica, 'GPU')} per replica."
    )


# ---------------------------------------------------------------------------------------- Provisioned


def stopped(scene: Scene) -> Finding | None:
    """No pods are wanted."""
    if scene.desired:
        return None
    pods = scene.given.observed.pods
    if isinstance(pods, Unknown):
        return unobserved(pods)
    if pods:
        return false(Reason.UPDATING, "spec.replicas is 0: the last pods are going.")
    return true(Reason.STOPPED, "spec.replicas is 0: no pods are wanted, none are there.")


def kuberay_missing(scene: Scene) -> Finding | None:
    """Nobody would act on a RayService."""
    if scene.given.observed.ray_service_kind:
        return None
    return false(
        Reason.KUBERAY_MISSING,
        "This cluster does not know the kind RayService: install KubeRay 1.6 or newer. "
        "Rayspan goes on by itself as soon as it is there.",
    )


def unplanned(scene: Scene) -> Finding | None:
    """Nothing was ever rendered."""
    if scene.plan or scene.ray_service:
        return None
    return false(Reason.NOT_REACHED, "Nothing is made before the plan is accepted.")


def apply_failed(scene: Scene) -> Finding | None:
    """The API server said no."""
    error = scene.given.apply_error
    return false(Reason.APPLY_FAILED, f"The API server refused it: {quote(error)}") if error else None


def ray_service_unread(scene: Scene) -> Finding | None:
    """Whether it is there cannot be told."""
    service = scene.given.observed.ray_service
    return unobserved(service) if isinstance(service, Unknown) else None


def ray_service_missing(scene: Scene) -> Finding | None:
    """It is made at the next pass, or was just deleted by hand."""
    return None if scene.ray_service else false(Reason.NOT_REACHED, "The RayService is not there yet.")


def not_applied(scene: Scene) -> Finding | None:
    """The live RayService was rendered from something else."""
    service, wanted = scene.ray_service, scene.given.revision
    if service is None or wanted is None or service.revision == wanted:
        return None
    return false(Reason.UPDATING, "The RayService still has the previous version.")


def not_acted_on(scene: Scene) -> Finding | None:
    """KubeRay lags behind, or does not run."""
    service = scene.ray_service
    if service is None:
        return None
    if service.observed_generation < service.generation:
        return false(Reason.WAITING_FOR_KUBERAY, "KubeRay has not acted on the newest RayService yet.")
    if scene.cluster is None or scene.given.observed.ray_cluster is None:
        return false(Reason.WAITING_FOR_KUBERAY, "KubeRay has not made the RayCluster yet.")
    return None


def pods_unread(scene: Scene) -> Finding | None:
    """Which pods run cannot be told."""
    pods = scene.given.observed.pods
    return unobserved(pods) if isinstance(pods, Unknown) else None


def pod_refused(scene: Scene) -> Finding | None:
    """A pod is lacking because the API server does not let KubeRay make it."""
    cluster = known(scene.given.observed.ray_cluster)
    if cluster is None or not cluster.refused or not pods_pending(scene):
        return None
    return false(Reason.POD_REFUSED, f"KubeRay cannot make a pod: {quote(cluster.refused)}")


def head_lost(scene: Scene) -> Finding | None:
    """Stages run, their head does not."""
    if not scene.head_lost:
        return None
    return false(Reason.HEAD_LOST, scene.head_lost, "Until it is back, nothing can be placed or replaced.")


def pod_in_trouble(scene: Scene) -> Finding | None:
    """A pod says why it does not run; the head's words come first, then the stages' in order."""
    for pod in scene.pods:
        if not pod.terminating and (words := trouble(pod)):
            return false(_reason(pod), _sentence(pod, words))
    return None


def pod_lost(scene: Scene) -> Finding | None:
    """A stage's pod is going, or gone although a rank was in it, and its place is not filled yet."""
    short = _short(scene)
    for pod in scene.pods:
        if pod.terminating and stage_of(pod) in short:
            return false(Reason.POD_LOST, _sentence(pod, "is being terminated"))
    present = {pod.name for pod in known(scene.given.observed.pods) or ()}
    for replica in scene.serve.replicas if scene.serve else ():
        for rank in replica.ranks:
            if rank.pod and rank.pod not in present and rank.stage in short:
                return false(Reason.POD_LOST, f"Stage {rank.stage}'s pod {rank.pod} is gone.")
    return None


def pods_pending(scene: Scene) -> Finding | None:
    """Some wanted pods do not run yet."""
    if not any(pod.head and pod.phase == "Running" and not pod.terminating for pod in scene.pods):
        return false(Reason.PODS_PENDING, "The head's pod does not run yet.")
    short = _short(scene)
    if not short:
        return None
    lacking = listing(f"stage {stage} has {short[stage]} of {scene.desired} pods" for stage in short)
    return false(Reason.PODS_PENDING, f"Pods do not run yet: {lacking}.")


def pending_cluster(scene: Scene) -> Finding | None:
    """The new cluster's pods run, but the old one still serves."""
    service = scene.ray_service
    if service is None or not (service.pending_cluster and service.active_cluster):
        return None
    return false(
        Reason.UPDATING,
        f"RayCluster {service.pending_cluster} is being made ready; {service.active_cluster} serves until then.",
    )


def pods_running(scene: Scene) -> Finding | None:
    """All is there."""
    stages = scene.plan.pipeline if scene.plan else 0
    return true(
        Reason.PODS_RUNNING,
        f"The head runs, and {count(scene.desired, 'pod')} of each of {count(stages, 'stage')}."
        if scene.plan
        else "The pods of the last version run.",
    )


def _short(scene: Scene) -> dict[int, int]:
    """Stages with fewer running pods than wanted replicas, and how many they have."""
    running = [
        stage_of(pod) for pod in scene.pods if pod.phase == "Running" and not pod.terminating and not pod.head
    ]
    stages = scene.plan.stages if scene.plan else ()
    return {s.index: running.count(s.index) for s in stages if running.count(s.index) < scene.desired}


def _reason(pod: PodView) -> Reason:
    if pod.unschedulable:
        return Reason.POD_UNSCHEDULABLE
    if pod.waiting_reason in IMAGE_REASONS:
        return Reason.IMAGE_PULL_FAILED
    if pod.waiting_reason in CONFIG_REASONS:
        return Reason.REFERENCE_MISSING
    return Reason.POD_CRASHING


def _sentence(pod: PodView, words: str) -> str:
    return f"{capital(named(pod))} {words.rstrip('.')}."
