"""The diagnosis: why nothing is served, or what limits what is served, with its evidence and the next action.

Only what is certain is said. NotServing and its cause follow from the conditions. Without traffic the
client is all that limits (Client). Objectives that are met by enough requests make it Healthy. Anything
else would be a guess, and is Unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rayspan.api.conditions import ConditionType, Reason
from rayspan.api.v1alpha1 import DiagnosisStatus
from rayspan.report.moments import timestamp
from rayspan.report.scene import Finding, Scene

ENOUGH_REQUESTS: Final = 20
"""From so many requests on, the 95th percentile is not simply the slowest one."""

ACTIONS: Final[Mapping[Reason, str]] = {
    Reason.INVALID_SPEC: "Edit the spec as the summary says.",
    Reason.UNPLACEABLE: "Edit spec.parallelism or spec.replicas, or add nodes that fit.",
    Reason.MODEL_UNREADABLE: "Check spec.model: source, revision and tokenSecret.",
    Reason.IMAGE_UNUSABLE: "Check spec.serving.image and imagePullSecrets.",
    Reason.REFERENCE_MISSING: "Create the Secret or claim in this namespace, or correct its name in the spec.",
    Reason.KUBERAY_MISSING: "Install KubeRay.",
    Reason.APPLY_FAILED: "Read what the API server said: a quota, an admission policy or a missing right.",
    Reason.WAITING_FOR_KUBERAY: "If it stays so for a minute, look at the KubeRay operator's pod and log.",
    Reason.POD_UNSCHEDULABLE: "Free or add a node that satisfies what the scheduler names.",
    Reason.IMAGE_PULL_FAILED: "Check spec.serving.image and imagePullSecrets.",
    Reason.POD_CRASHING: "Read the container's last words and its log: kubectl logs POD -c ray --previous.",
    Reason.APPLICATION_FAILED: "Read Ray Serve's words, and the log of the replica in the head's dashboard.",
    Reason.MISPLACED: "Check the labels of the nodes against spec.parallelism.stages.",
    Reason.NO_COMPLETION: "Read what came back, and the log of stage 0's pod.",
}
_WAIT: Final = "Wait: Rayspan and KubeRay are at it. If it stays so for minutes, look at the pods' events."


def diagnosis(scene: Scene, found: Mapping[ConditionType, Finding]) -> DiagnosisStatus | None:
    """The verdict; None when nothing is wanted. ``since`` is kept as long as the verdict is the same."""
    if not scene.desired:
        return None
    verdict, summary, evidence, action = _verdict(scene, found)
    last = scene.given.deployment.status.diagnosis
    since = last.since if last and last.verdict == verdict else timestamp(scene.given.observed.at)
    return DiagnosisStatus(
        verdict=verdict, summary=summary, evidence=evidence or None, action=action, since=since
    )


def _verdict(scene: Scene, found: Mapping[ConditionType, Finding]) -> tuple[str, str, list[str], str | None]:
    serving = found[ConditionType.SERVING]
    if serving.status == "False":
        cause = _first_failing(found)
        evidence = [f"{c.value}: {f.message}" for c, f in found.items() if c in _CHAIN and f.status != "True"]
        return (
            "NotServing",
            cause.message,
            [line[:4096] for line in evidence],
            ACTIONS.get(cause.reason, _WAIT),
        )
    if serving.status == "Unknown":
        return "Unknown", serving.message, [], None
    requests = scene.latency.requests if scene.latency else 0
    if scene.latency is None:
        return "Unknown", "No metrics were read over any length of time yet.", [], None
    if requests == 0:
        return "Client", "No requests come in: too little load to tell.", [], "Send requests to status.url."
    if found[ConditionType.OBJECTIVES_MET].status == "True" and requests >= ENOUGH_REQUESTS:
        return "Healthy", "Every objective is met.", [], None
    return "Unknown", "The numbers at hand do not tell what limits it.", [], None


_CHAIN: Final = (
    ConditionType.PLAN_ACCEPTED,
    ConditionType.PROVISIONED,
    ConditionType.PLACEMENT_VERIFIED,
    ConditionType.SERVING,
)


def _first_failing(found: Mapping[ConditionType, Finding]) -> Finding:
    """The earliest cause: a False one before one that is only unknown, except that inspecting comes first."""
    plan = found[ConditionType.PLAN_ACCEPTED]
    if plan.status == "Unknown" and found[ConditionType.PROVISIONED].reason == Reason.NOT_REACHED:
        return plan
    return next(found[condition] for condition in _CHAIN if found[condition].status == "False")
