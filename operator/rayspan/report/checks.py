"""The conditions, each as a chain of pure functions ``(Scene) -> Finding | None`` in order of diagnosis.

The first function of a chain that finds something decides; the last one always does. So reading a chain
from top to bottom is reading what has to be so, and in which order one looks when it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from rayspan.api.conditions import ConditionType
from rayspan.report import provisioned, ready, serving
from rayspan.report.scene import Finding, Scene

Check = Callable[[Scene], Finding | None]

CHAINS: Final[Mapping[ConditionType, Sequence[Check]]] = {
    ConditionType.PLAN_ACCEPTED: (
        provisioned.refused,
        provisioned.inspecting,
        provisioned.invalid,
        provisioned.unplaceable,
        provisioned.planned,
    ),
    ConditionType.PROVISIONED: (
        provisioned.stopped,
        provisioned.kuberay_missing,
        provisioned.unplanned,
        provisioned.apply_failed,
        provisioned.ray_service_unread,
        provisioned.ray_service_missing,
        provisioned.not_applied,
        provisioned.not_acted_on,
        provisioned.pods_unread,
        provisioned.pod_refused,
        provisioned.head_lost,
        provisioned.pod_in_trouble,
        provisioned.pod_lost,
        provisioned.pods_pending,
        provisioned.pending_cluster,
        provisioned.pods_running,
    ),
    ConditionType.PLACEMENT_VERIFIED: (
        serving.stopped,
        serving.nothing_placed,
        serving.placement_unread,
        serving.ranks_split,
        serving.misplaced,
        serving.stages_missing,
        serving.nodes_unread,
        serving.verified,
    ),
    ConditionType.SERVING: (
        serving.stopped,
        serving.nothing_to_serve,
        serving.no_proxy,
        serving.no_replica_able,
        serving.completion_unread,
        serving.completion_failed,
        serving.completion_stale,
        serving.answered,
    ),
    ConditionType.READY: (
        serving.stopped,
        ready.not_accepted,
        ready.not_made,
        ready.replicas_missing,
        ready.pods_missing,
        ready.stage_lost,
        ready.pods_pending,
        ready.application_failed,
        ready.deploying,
        ready.not_placed,
        ready.not_serving,
        ready.application_not_running,
        ready.application_outdated,
        ready.replicas_differ,
        ready.replica_unproven,
        ready.no_endpoint,
        ready.way_unproven,
        ready.something_unknown,
        ready.ready,
    ),
    ConditionType.OBJECTIVES_MET: (
        serving.not_set,
        serving.not_scraped,
        serving.no_traffic,
        serving.exceeded,
        serving.within,
    ),
    ConditionType.DEGRADED: (
        serving.stopped,
        ready.serves_not,
        ready.last_good,
        ready.lacking,
        ready.healthy,
    ),
}


def conditions(scene: Scene) -> dict[ConditionType, Finding]:
    """Every condition's finding. A chain sees what the chains before it found."""
    found: dict[ConditionType, Finding] = {}
    for condition, chain in CHAINS.items():
        now = replace(scene, found=dict(found))
        found[condition] = next(finding for check in chain if (finding := check(now)) is not None)
    return found
