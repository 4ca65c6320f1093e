"""Placement groups that Ray has no room for, from the tables of its dashboard.

Shapes are Ray 2.60's: ``PlacementGroupState``, ``ActorState``, ``NodeState`` (ray/util/state/common.py). Serve names a
group like the replica that it is for (serve/_private/deployment_scheduler.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rayspan.report.observed import WaitingGroup

Row = Mapping[str, Any]


def waiting_groups(
    groups: Iterable[Row], actors: Iterable[Row], nodes: Iterable[Row], pod_by_node: Mapping[str, str | None]
) -> tuple[WaitingGroup, ...]:
    """Those of Serve's replicas that are pending. ``pod_by_node``: Ray's node id to the pod that it runs in."""
    groups = list(groups)
    pending = [
        group for group in groups if group.get("state") == "PENDING" and "#" in (group.get("name") or "")
    ]
    if not pending:
        return ()
    free = {
        node["node_id"]: float((node.get("resources_total") or {}).get("GPU", 0))
        for node in nodes
        if pod_by_node.get(node["node_id"])
    }
    for group in groups:
        for bundle in group.get("bundles") or () if group.get("state") == "CREATED" else ():
            _take(free, bundle.get("node_id"), bundle.get("unit_resources"))
    for actor in actors:
        if not actor.get("placement_group_id") and actor.get("state") == "ALIVE":
            _take(free, actor.get("node_id"), actor.get("required_resources"))
    room = {str(pod_by_node[node]): gpus for node, gpus in free.items()}
    return tuple(
        WaitingGroup(group["name"].rpartition("#")[2], len(group.get("bundles") or ()), room)
        for group in pending
    )


def _take(free: dict[str, float], node: str | None, resources: Row | None) -> None:
    if node in free:
        free[node] -= float((resources or {}).get("GPU", 0))
