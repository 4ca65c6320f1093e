"""Which placement groups of Serve's wait, and what is left on the nodes, from tables in the shapes of Ray 2.60."""

from __future__ import annotations

from typing import Any

from rayspan.cluster.placement_groups import waiting_groups
from rayspan.report.observed import WaitingGroup

NODES = [
    {"node_id": "head", "resources_total": {"CPU": 1}},
    {"node_id": "na", "resources_total": {"GPU": 2.0}},
    {"node_id": "nb", "resources_total": {"GPU": 2.0}},
    {"node_id": "other", "resources_total": {"GPU": 8.0}},
]
PODS = {"head": "tiny-head", "na": "pod-a", "nb": "pod-b", "other": None}


def group(
    state: str, *nodes: str | None, name: str = "SERVE_REPLICA::tiny#LLMServer:tiny#r2"
) -> dict[str, Any]:
    bundles = [{"node_id": node, "unit_resources": {"GPU": 1.0, "CPU": 1.0}} for node in nodes]
    return {"name": name, "state": state, "bundles": bundles}


def test_bundles_and_actors_without_a_group_take_gpus() -> None:
    actors = [
        {"node_id": "na", "state": "ALIVE", "required_resources": {"GPU": 0.5}},
        {"node_id": "nb", "state": "ALIVE", "required_resources": {"GPU": 1.0}, "placement_group_id": "p"},
        {"node_id": "nb", "state": "PENDING_CREATION", "required_resources": {"GPU": 1.0}},
    ]
    groups = [group("CREATED", "na", "nb"), group("PENDING", None, None)]
    free = {"tiny-head": 0.0, "pod-a": 0.5, "pod-b": 1.0}
    assert waiting_groups(groups, actors, NODES, PODS) == (WaitingGroup("r2", 2, free),)


def test_nothing_waits_where_no_group_of_a_replica_is_pending() -> None:
    assert (
        waiting_groups([group("CREATED", "na"), group("PENDING", None, name="mine")], [], NODES, PODS) == ()
    )
