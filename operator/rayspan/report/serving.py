"""Checks from running pods to answers: PlacementVerified, Serving and ObjectivesMet, in order of diagnosis."""

from __future__ import annotations

from typing import Final

from rayspan.api.conditions import Reason
from rayspan.plan.words import size
from rayspan.report import latency
from rayspan.report.observed import Unknown, WaitingGroup
from rayspan.report.placement import LOST, StagePlace, StageState, stage_of
from rayspan.report.scene import Finding, Scene, false, known, true, unknown, unobserved
from rayspan.report.words import count, listing, quote

PROXY_START_SECONDS: Final = 60.0
"""After Serve was told what to run: until then no proxy is missed."""


def stopped(scene: Scene) -> Finding | None:
    """spec.replicas is 0."""
    return None if scene.desired else false(Reason.STOPPED, "spec.replicas is 0.")


# ----------------------------------------------------------------------------------- PlacementVerified


def nothing_placed(scene: Scene) -> Finding | None:
    """There is nothing to verify, or nothing to verify it against."""
    if scene.given.observed.ray_service is None or not scene.given.observed.ray_service_kind:
        return false(Reason.NOT_REACHED, "There is no RayService yet.")
    if scene.plan is None:
        return false(Reason.NOT_REACHED, "There is no accepted plan to hold the stages against.")
    return None


def placement_unread(scene: Scene) -> Finding | None:
    """A source that the proof needs did not answer."""
    observed = scene.given.observed
    if isinstance(observed.pods, Unknown):
        return unobserved(observed.pods)
    if isinstance(observed.serve, Unknown):
        return unobserved(observed.serve)
    if observed.serve is None:
        return false(Reason.NOT_REACHED, "Ray Serve has no application yet.")
    return None


def ranks_split(scene: Scene) -> Finding | None:
    """Tensor ranks of one stage in different pods."""
    split = _stages(scene, StageState.SPLIT)
    if not split:
        return None
    return false(Reason.TENSOR_RANKS_SPLIT, *_whys(split), "They give way to new ones by themselves.")


def misplaced(scene: Scene) -> Finding | None:
    """A stage on a node that the plan does not allow."""
    wrong = _stages(scene, StageState.MISPLACED)
    return false(Reason.MISPLACED, *_whys(wrong)) if wrong else None


def stages_missing(scene: Scene) -> Finding | None:
    """Fewer stages run than planned."""
    if scene.placement is None or scene.plan is None:
        return None
    stages = [s for r in scene.placement.replicas if not r.going for s in r.stages]
    running = sum(stage.state is StageState.RUNNING for stage in stages)
    wanted = scene.desired * scene.plan.pipeline
    lost = [stage for stage in stages if stage.state in LOST]
    if running >= wanted and not lost:
        return None
    whys = _whys(lost or [stage for stage in stages if stage.state is not StageState.RUNNING])
    return false(Reason.STAGES_MISSING, f"{running} of {wanted} stages run.", *whys)


def nodes_unread(scene: Scene) -> Finding | None:
    """Stages run, but their nodes' labels are not known."""
    if isinstance(scene.given.nodes, Unknown):
        needed = scene.plan is not None and any(stage.selector for stage in scene.plan.stages)
        return unobserved(scene.given.nodes) if needed else None
    unverified = [s for s in scene.placement.stages if not s.verified] if scene.placement else []
    if not unverified:
        return None
    stage = unverified[0]
    return unknown(
        Reason.UNOBSERVED,
        f"Stage {stage.stage} of replica {stage.replica}: the labels of node {stage.node} are not known.",
    )


def verified(scene: Scene) -> Finding | None:
    """Ray's own state agrees with the plan."""
    places = scene.placement.replicas if scene.placement else ()
    where = "; ".join(
        f"replica {place.replica.id}: " + ", ".join(f"stage {s.stage} on {s.node}" for s in place.stages)
        for place in places
        if place.ready
    )
    return true(Reason.VERIFIED, f"Read back from Ray: {where}.")


# --------------------------------------------------------------------------------------------- Serving


def nothing_to_serve(scene: Scene) -> Finding | None:
    """Nothing was made yet."""
    if not scene.given.observed.ray_service_kind or scene.given.observed.ray_service is None:
        return false(Reason.NOT_REACHED, "There is no RayService yet.")
    return None


def no_proxy(scene: Scene) -> Finding | None:
    """The ingresses run, and nobody hands requests to them. Proxies start as fast as ingresses: the wait is ample."""
    serve, completion = scene.serve, known(scene.given.observed.completion)
    if serve is None or scene.given.observed.at - serve.deployed_at < PROXY_START_SECONDS:
        return None
    if completion and completion.ok:
        return None
    pods = [ingress.pod for ingress in serve.ingresses if ingress.state == "RUNNING" and ingress.pod]
    states = {pod: serve.proxies[pod] for pod in pods if pod in serve.proxies}
    if not states or any(state not in ("STARTING", "UNHEALTHY") for state in states.values()):
        return None
    where = listing(f"{pod} ({state})" for pod, state in sorted(states.items()))
    return false(
        Reason.PROXY_FAILED,
        f"Ray Serve's HTTP proxy does not start in {where}, although the ingress there runs: "
        f"most often something else in the pod holds port {scene.given.deployment.spec.serving.port}.",
    )


def no_replica_able(scene: Scene) -> Finding | None:
    """Ray and the pods show for certain that no replica is whole."""
    serve, places = scene.serve, scene.placement
    if serve is None or places is None or any(place.able for place in places.replicas):
        return None
    words = quote(serve.message)
    if serve.status in ("DEPLOY_FAILED", "UNHEALTHY"):
        return false(
            Reason.APPLICATION_FAILED,
            f"Ray Serve says {serve.status}: {words or 'no more than that.'}",
            *_no_room(scene),
        )
    if lost := [stage for stage in places.stages if stage.state in LOST]:
        return false(Reason.STAGE_LOST, *_whys(lost))
    fetched = (
        f"{size(scene.fetching)} of weights are here, and more is being fetched." if scene.fetching else ""
    )
    return false(
        Reason.APPLICATION_DEPLOYING,
        f"Ray Serve is starting the replicas ({serve.status}).",
        *_no_room(scene),
        fetched,
        words,
    )


def _no_room(scene: Scene) -> list[str]:
    """For each placement group that is pending, the first bundle that fits nowhere: one bundle is one tensor rank."""
    serve, plan = scene.serve, scene.plan
    found: list[str] = []
    if serve is None or plan is None:
        return found
    for group in serve.waiting:
        for stage in plan.stages:
            pods = [pod.name for pod in scene.pods if stage_of(pod) == stage.index]
            if not any(group.free.get(pod, 0) >= plan.tensor for pod in pods):
                bundle = f"bundle {stage.index * plan.tensor} of {group.bundles}"
                found.append(
                    f"The placement group of replica {group.replica} is pending: no room for {bundle} "
                    f"(stage {stage.index}, {count(plan.tensor, 'GPU')}): {_room(group, pods)}."
                )
                break
    return found


def _room(group: WaitingGroup, pods: list[str]) -> str:
    return (
        listing(
            f"{count(int(group.free[pod]), 'GPU')} free in pod {pod}"
            if pod in group.free
            else f"pod {pod} is not in Ray yet"
            for pod in pods
        )
        or "it has no pod"
    )


def completion_unread(scene: Scene) -> Finding | None:
    """Nobody could ask."""
    completion = scene.given.observed.completion
    return unobserved(completion) if isinstance(completion, Unknown) else None


def completion_failed(scene: Scene) -> Finding | None:
    """The last completion failed, or none came yet."""
    completion = scene.given.observed.completion
    if isinstance(completion, Unknown) or (completion and completion.ok):
        return None
    if scene.head_lost:
        return false(Reason.HEAD_LOST, scene.head_lost)
    if completion:
        return false(Reason.NO_COMPLETION, f"The last completion failed: {quote(completion.detail)}")
    if scene.given.observed.serve is None:
        return false(Reason.NOT_REACHED, "Ray Serve has no application yet.")
    return false(Reason.NOT_REACHED, "No completion was asked for yet.")


def completion_stale(scene: Scene) -> Finding | None:
    """An answer from too long ago, or of none of the replicas that are there now."""
    completion = scene.given.observed.completion
    if isinstance(completion, Unknown) or completion is None:
        return None
    most = scene.given.settings.completion_max_age_seconds
    if scene.given.observed.at - completion.at > most:
        return unknown(
            Reason.UNOBSERVED, f"The last completion is older than {most:g} s and proves nothing now."
        )
    able = [place for place in scene.placement.replicas if place.able] if scene.placement else []
    if able and len(scene.unproven) == len(able):
        return false(*scene.unproven[0])
    return None


def answered(scene: Scene) -> Finding | None:
    """It serves."""
    return true(Reason.COMPLETION_ANSWERED, "A completion is answered through the serving path.")


# --------------------------------------------------------------------------------------- ObjectivesMet


def not_set(scene: Scene) -> Finding | None:
    """Nobody asked for anything."""
    if latency.bounds(scene.given.deployment.spec.objectives):
        return None
    return unknown(Reason.NOT_SET, "spec.objectives is empty.")


def not_scraped(scene: Scene) -> Finding | None:
    """No metrics page could be read."""
    if scene.latency:
        return None
    return unknown(Reason.UNOBSERVED, "The pods' metrics were not read over any length of time yet.")


def no_traffic(scene: Scene) -> Finding | None:
    """Nothing to judge."""
    objectives, now = scene.given.deployment.spec.objectives, scene.latency
    if objectives and now and latency.judged(objectives, now):
        return None
    return unknown(Reason.NO_TRAFFIC, "No request ended in the window.")


def exceeded(scene: Scene) -> Finding | None:
    """A percentile is over its bound. The measured value is in status.latency: here it would change all the time."""
    objectives, now = scene.given.deployment.spec.objectives, scene.latency
    over = latency.exceeded(objectives, now) if objectives and now else []
    return false(Reason.EXCEEDED, f"{'; '.join(over)}. status.latency has the values.") if over else None


def within(scene: Scene) -> Finding | None:
    """All are met."""
    number = len(latency.bounds(scene.given.deployment.spec.objectives))
    return true(
        Reason.WITHIN, "The objective is met." if number == 1 else f"All {number} objectives are met."
    )


def _stages(scene: Scene, state: StageState) -> list[StagePlace]:
    places = scene.placement.replicas if scene.placement else ()
    return [stage for place in places if not place.going for stage in place.stages if stage.state is state]


def _whys(stages: list[StagePlace], most: int = 4) -> list[str]:
    more = [f"{len(stages) - most} more."] if len(stages) > most else []
    return [stage.why for stage in stages[:most]] + more
