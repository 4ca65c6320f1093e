"""What the running RayCluster is told when the number of replicas changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rayspan.plan.types import Plan, StagePlan
from rayspan.render.scale import cluster_scale
from rayspan.report.observed import PodView, RankView, RayClusterView, ReplicaView, ServeView, WorkerGroupView

PLAN = Plan(1, (StagePlan(0, 4, {}, ()), StagePlan(1, 4, {}, ())), "nvidia.com/gpu")


def pod(name: str, stage: int, **more: Any) -> PodView:
    given: dict[str, Any] = {
        "uid": name,
        "cluster": "c",
        "group": f"stage-{stage}",
        "head": False,
        "node": "n",
        "ip": None,
        "phase": "Running",
        "ready": True,
        "terminating": False,
        "restarts": 0,
        "image": "i",
        "created_at": 0.0,
    }
    return PodView(name, **{**given, **more})


def replica(first: str, second: str | None, state: str = "ALIVE") -> ReplicaView:
    ranks = (RankView(0, 0, "ALIVE", first), RankView(1, 0, state, second))
    return ReplicaView("r", "RUNNING", "a", first, ranks)


def serve(*replicas: ReplicaView) -> ServeView:
    return ServeView("RUNNING", "", replicas, ())


def cluster(*counts: int, named: tuple[str, ...] = ()) -> RayClusterView:
    return edited(*((n, n, n) for n in counts), named=named)


def edited(*bounds: tuple[int, int | None, int | None], named: tuple[str, ...] = ()) -> RayClusterView:
    """A cluster by each group's count, lower and upper bound."""
    return RayClusterView(
        "c", tuple(WorkerGroupView(f"stage-{i}", n, named, *more) for i, (n, *more) in enumerate(bounds))
    )


def asked(patch: list[dict[str, Any]] | None) -> dict[str, tuple[int, list[str]]] | None:
    """Per group: count and names, out of the patch."""
    if patch is None:
        return None
    found: dict[str, tuple[int, list[str]]] = {}
    for test, low, high, count, strategy in zip(*(iter(patch),) * 5, strict=True):
        root = test["path"].removesuffix("/groupName")
        assert [op["path"] for op in (low, high, count, strategy)] == [
            f"{root}/{field}" for field in ("minReplicas", "maxReplicas", "replicas", "scaleStrategy")
        ]
        assert low["value"] == high["value"] == count["value"]
        found[test["value"]] = (count["value"], strategy["value"]["workersToDelete"])
    return found


A0, A1, B0, B1 = pod("a0", 0), pod("a1", 0), pod("b0", 1), pod("b1", 1)
ALL = [A0, A1, B0, B1]
Case = tuple[int, RayClusterView, list[PodView], ServeView | None, dict[str, tuple[int, list[str]]] | None]

CASES: dict[str, Case] = {
    "nothing to do": (2, cluster(2, 2), ALL, None, None),
    "up at once, whatever is known of Serve": (
        2,
        cluster(1, 1),
        [A0, B0],
        None,
        {"stage-0": (2, []), "stage-1": (2, [])},
    ),
    "down by the pods that hold no rank": (
        1,
        cluster(2, 2),
        ALL,
        serve(replica("a1", "b0")),
        {"stage-0": (1, ["a0"]), "stage-1": (1, ["b1"])},
    ),
    "not before Serve has come down": (
        1,
        cluster(2, 2),
        ALL,
        serve(replica("a0", "b0"), replica("a1", "b1")),
        None,
    ),
    "not while Serve is not known": (1, cluster(2, 2), ALL, None, None),
    "not while a rank's pod is not known": (1, cluster(2, 2), ALL, serve(replica("a0", None)), None),
    "not while a rank is dead and its place open": (
        1,
        cluster(2, 2),
        ALL,
        serve(replica("a0", "b0", state="DEAD")),
        None,
    ),
    "a pod that is going anyway is named first": (
        1,
        cluster(2, 2),
        [A0, A1, pod("b0", 1, terminating=True), B1],
        serve(replica("a0", "b1")),
        {"stage-0": (1, ["a1"]), "stage-1": (1, ["b0"])},
    ),
    "pods without a node go before pods with one": (
        1,
        cluster(3, 1),
        [A0, A1, pod("a2", 0, node=None, ready=False)],
        serve(replica("a0", "b0")),
        {"stage-0": (1, ["a1", "a2"])},
    ),
    "names stay until their pods are gone, then are dropped": (
        3,
        cluster(2, 2, named=("a1", "gone")),
        ALL,
        None,
        {"stage-0": (3, ["a1"]), "stage-1": (3, [])},
    ),
    "a pod already named counts as gone": (
        1,
        cluster(2, 1, named=("a1",)),
        [A0, A1, pod("a2", 0)],
        serve(replica("a0", "b0")),
        {"stage-0": (1, ["a1", "a2"])},
    ),
    "fewer pods than wanted: only the count": (
        1,
        cluster(2, 2),
        [A0],
        serve(),
        {"stage-0": (1, []), "stage-1": (1, [])},
    ),
    "an edited lower bound is put back": (
        2,
        edited((2, 1, 2), (2, 2, 2)),
        ALL,
        None,
        {"stage-0": (2, [])},
    ),
    "edited upper bounds are put back at once, whatever is known of Serve": (
        2,
        edited((2, 2, 9), (2, 0, 1)),
        [A0, A1, B0],
        None,
        {"stage-0": (2, []), "stage-1": (2, [])},
    ),
    "bounds that were removed are put back": (
        2,
        edited((2, None, None), (2, 2, 2)),
        ALL,
        None,
        {"stage-0": (2, [])},
    ),
    "a lower bound that brought pods up is put back by naming those that hold no rank": (
        1,
        edited((1, 2, 2), (1, 1, 1)),
        ALL,
        serve(replica("a1", "b0")),
        {"stage-0": (1, ["a0"])},
    ),
    "a lower bound that brought pods up stays while Serve is not known": (
        1,
        edited((1, 2, 2), (1, 1, 1)),
        ALL,
        None,
        None,
    ),
    "pods of another cluster do not count": (
        1,
        cluster(2, 1),
        [A0, pod("a1", 0, cluster="old")],
        serve(),
        {"stage-0": (1, [])},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_scaling(case: str) -> None:
    wanted, view, pods, known, expected = CASES[case]
    assert asked(cluster_scale(PLAN, wanted, view, pods, known)) == expected


WAKE = {"op": "add", "path": "/spec/suspend", "value": False}


def test_a_suspended_cluster_is_woken() -> None:
    assert cluster_scale(PLAN, 2, replace(cluster(2, 2), suspended=True), [], None) == [WAKE]


def test_a_suspended_cluster_is_woken_and_scaled_in_one_patch() -> None:
    patch = cluster_scale(PLAN, 2, replace(cluster(1, 1), suspended=True), [], None)
    assert patch is not None
    assert patch[0] == WAKE
    assert asked(patch[1:]) == {"stage-0": (2, []), "stage-1": (2, [])}
