"""The diagnosis: why nothing is served, or what limits what is served, with its evidence and the next action.

Only what is certain is said. NotServing and its cause follow from the conditions. Without traffic, or when
all that comes in has to be rejected, the client is all that limits (Client). Objectives that are met by
enough requests make it Healthy, unless other requests fail. Otherwise the stations tell what limits it
(:mod:`.verdicts`). Anything else would be a guess, and is Unknown: that requests fail or are given up is certain and
is said, but their outcomes do not tell where.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from rayspan.api.conditions import ConditionType, Reason
from rayspan.api.v1alpha1 import DiagnosisStatus
from rayspan.report import causes
from rayspan.report.durations import rounded
from rayspan.report.failure import last_failure
from rayspan.report.latency import bounds
from rayspan.report.moments import moment, timestamp
from rayspan.report.scene import Finding, Scene
from rayspan.report.traffic import OUTCOME_CANCELLED, OUTCOME_ERROR, OUTCOME_OK, OUTCOME_REJECTED
from rayspan.report.verdicts import verdict
from rayspan.report.words import count

ENOUGH_REQUESTS: Final = 20
"""From so many requests on, the 95th percentile is not simply the slowest one."""
COLD_SECONDS: Final = 120.0
"""After Ready: until then the window holds requests that paid for the start."""
MANY_ERRORS: Final = 0.05
"""From this share of errors on, they are what is wrong, however fast the other requests are answered."""

ACTIONS: Final[Mapping[Reason, str]] = {
    Reason.INVALID_SPEC: "Edit the spec as the summary says.",
    Reason.UNPLACEABLE: "Edit spec.parallelism or spec.replicas, or add nodes that fit.",
    Reason.MODEL_UNREADABLE: "Check spec.model: source, revision and tokenSecret.",
    Reason.IMAGE_UNUSABLE: "Check spec.serving.image and imagePullSecrets.",
    Reason.REFERENCE_MISSING: "Create the Secret or claim in this namespace, or correct its name in the spec.",
    Reason.KUBERAY_MISSING: "Install KubeRay.",
    Reason.APPLY_FAILED: "Read what the API server said: a quota, an admission policy or a missing right.",
    Reason.WAITING_FOR_KUBERAY: "If it stays so for a minute, look at the KubeRay operator's pod and log.",
    Reason.POD_REFUSED: "Raise the quota, satisfy the policy, or make what the API server says is not there.",
    Reason.POD_UNSCHEDULABLE: "Free or add a node that satisfies what the scheduler names.",
    Reason.IMAGE_PULL_FAILED: "Check spec.serving.image and imagePullSecrets.",
    Reason.POD_CRASHING: "Read the container's last words and its log: kubectl logs POD -c ray --previous.",
    Reason.APPLICATION_FAILED: "Read Ray Serve's words, and the log of the replica in the head's dashboard.",
    Reason.MISPLACED: "Check the labels of the nodes against spec.parallelism.stages.",
    Reason.PROXY_FAILED: "Give its port back: look at podTemplate's other containers and for hostNetwork. Else read "
    "/tmp/ray/session_latest/logs/serve/proxy_*.log in the pod.",
    Reason.NO_COMPLETION: "Read what came back, and the log of stage 0's pod.",
}
_WAIT: Final = "Wait: Rayspan and KubeRay are at it. If it stays so for minutes, look at the pods' events."

_SPEAKING: Final = (
    Reason.APPLICATION_FAILED,
    Reason.APPLICATION_DEPLOYING,
    Reason.POD_CRASHING,
    Reason.NO_COMPLETION,
    Reason.STAGE_LOST,
)
"""Whose messages quote what failed."""

_OUTCOMES: Final[Mapping[str, str]] = {
    OUTCOME_ERROR: "failed (5xx, a time-out or a broken stream)",
    OUTCOME_REJECTED: "were rejected (4xx)",
    OUTCOME_CANCELLED: "were given up by the client",
    OUTCOME_OK: "were answered",
}

Verdict = tuple[str, str, list[str], str | None]
"""Verdict, summary, evidence, action."""


def diagnosis(scene: Scene, found: Mapping[ConditionType, Finding]) -> DiagnosisStatus | None:
    """The verdict; None when nothing is wanted. ``since`` is kept as long as the verdict is the same."""
    if not scene.desired:
        return None
    word, summary, evidence, action = _verdict(scene, found)
    last = scene.given.deployment.status.diagnosis
    since = last.since if last and last.verdict == word else timestamp(scene.given.observed.at)
    return DiagnosisStatus(
        verdict=word,
        summary=summary,
        evidence=evidence or None,
        action=action,
        since=since,
        last_failure=last_failure(scene.given.deployment.status, found, scene.given.observed.at),
    )


def _verdict(scene: Scene, found: Mapping[ConditionType, Finding]) -> Verdict:
    serving = found[ConditionType.SERVING]
    if serving.status == "False":
        cause = _first_failing(found)
        evidence = [f"{c.value}: {f.message}" for c, f in found.items() if c in _CHAIN and f.status != "True"]
        action = _told(cause) or ACTIONS.get(cause.reason, _WAIT)
        return "NotServing", cause.message, [line[:4096] for line in evidence], action
    if serving.status == "Unknown":
        return "Unknown", serving.message, [], None
    if scene.latency is None:
        return "Unknown", "No metrics were read over any length of time yet.", [], None
    requests = scene.latency.requests
    if not requests and not scene.ended:
        return "Client", "No requests come in: too little load to tell.", [], "Send requests to status.url."
    if unanswered := _unanswered(scene.ended, scene.latency.window):
        return unanswered
    if found[ConditionType.OBJECTIVES_MET].status == "True" and requests >= ENOUGH_REQUESTS:
        return "Healthy", "Every objective is met.", [], None
    missed = found[ConditionType.OBJECTIVES_MET].status == "False"
    return _limit(scene, requests, missed)


def _told(cause: Finding) -> str | None:
    """What to do by the words of what failed to start, also while it is tried again."""
    if cause.reason not in _SPEAKING:
        return None
    if action := causes.action(cause.message):
        return action
    return ACTIONS[Reason.APPLICATION_FAILED] if "failed to start" in cause.message else None


def _limit(scene: Scene, requests: int, missed: bool) -> Verdict:
    """What limits it where objectives are missed, or none is set."""
    if scene.stations:
        if cold := _cold(scene):
            return cold
        last = scene.given.deployment.status.diagnosis
        seen = [replace(one, missed=missed) for one in scene.stations]
        if limit := verdict(seen, last.verdict if last else None):
            rule, evidence = limit
            return rule.verdict, rule.summary, list(evidence), rule.action
        if requests >= ENOUGH_REQUESTS and not bounds(scene.given.deployment.spec.objectives):
            return "Healthy", "No station on the way is at its limit.", [], None
    return "Unknown", "The numbers at hand do not tell what limits it.", [], None


def _cold(scene: Scene) -> Verdict | None:
    """Whether it began to serve only just now, so that the window holds what a start costs."""
    at = scene.given.observed.at
    ready = scene.given.deployment.status.condition(ConditionType.READY)
    since = moment(ready.last_transition_time) if ready and ready.status == "True" else at
    if at - since >= min(COLD_SECONDS, scene.stations[0].seconds) and scene.ready >= scene.desired:
        return None
    evidence = [
        f"{scene.ready} of {count(scene.desired, 'replica')} {'is' if scene.desired == 1 else 'are'} ready."
    ]
    return (
        "ColdStart",
        "It has just begun to serve: first requests compile, capture graphs and fill caches.",
        evidence,
        "Wait; if starts come often, keep a replica more than the load needs.",
    )


def _unanswered(ended: Mapping[str, float], window: str) -> Verdict | None:
    """What becomes of requests, when too many fail or none is answered."""
    if not ended:
        return None
    total, errors = sum(ended.values()), ended.get(OUTCOME_ERROR, 0.0)
    shares = ", ".join(
        f"{rounded(100 * ended[outcome] / total, 2):g} % {words}"
        for outcome, words in _OUTCOMES.items()
        if outcome in ended
    )
    evidence = [f"{count(round(total), 'request')} ended within {window}: {shares}."]
    if errors and errors >= MANY_ERRORS * total:
        many = "Every request fails" if errors == total else "Most requests fail"
        return (
            "Unknown",
            f"{many if errors > total / 2 else 'Some requests fail'}: 5xx, a time-out or a broken stream.",
            evidence,
            "Read what a client gets back, and the log of stage 0's pod.",
        )
    if OUTCOME_OK in ended:
        return None
    if ended.keys() == {OUTCOME_REJECTED}:
        return (
            "Client",
            "Every request is rejected (4xx): what clients send cannot be served.",
            evidence,
            "Read what a client gets back: its model name, API key or body is wrong.",
        )
    each = (
        "given up by its client"
        if OUTCOME_REJECTED not in ended
        else "rejected (4xx) or given up by its client"
    )
    return (
        "Unknown",
        f"No request is answered: each is {each}.",
        evidence,
        "Compare the clients' time-outs with how long an answer takes.",
    )


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
    first = next(found[condition] for condition in _CHAIN if found[condition].status == "False")
    serving = found[ConditionType.SERVING]
    told = (Reason.APPLICATION_FAILED, Reason.PROXY_FAILED, Reason.APPLICATION_DEPLOYING)
    # Stages are missing because the application did not come up, and its words say why.
    return serving if first.reason == Reason.STAGES_MISSING and serving.reason in told else first
