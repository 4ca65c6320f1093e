"""Pods, RayServices, RayClusters and nodes as the API server has them become the views of the other rooms."""

from __future__ import annotations

from typing import Any

import pytest
from rayspan.cluster.nodes import held_by, node_facts
from rayspan.cluster.views import pod_view, ray_cluster_view, ray_service_view
from rayspan.plan.facts import NodeFacts, Taint
from rayspan.report.observed import RayClusterView, RayServiceView, WorkerGroupView

GPU = "nvidia.com/gpu"


def pod(status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "p", "uid": "u", "creationTimestamp": "2026-01-01T00:00:10Z",
            "labels": {"ray.io/cluster": "c", "ray.io/group": "stage-1", "ray.io/node-type": "worker"},
            **metadata,
        },
        "spec": {
            "nodeName": "gpu-a",
            "containers": [
                {"name": "sidecar", "image": "side"},
                {"name": "ray", "image": "serving:1", "resources": {"limits": {GPU: "2"}}},
            ],
        },
        "status": status or {},
    }  # fmt: skip


def test_a_running_pod() -> None:
    view = pod_view(
        pod(
            {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "ray", "restartCount": 2, "state": {"running": {}}}],
            }
        ),
        GPU,
    )
    assert (view.cluster, view.group, view.head, view.node) == ("c", "stage-1", False, "gpu-a")
    assert (view.ip, view.phase, view.ready, view.terminating) == ("10.0.0.1", "Running", True, False)
    assert (view.restarts, view.image, view.gpus) == (2, "serving:1", 2)
    assert view.created_at == 1767225610.0
    assert (view.unschedulable, view.waiting_reason, view.last_exit) == (None, None, None)


CONDITIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a pod that no node takes": (
        {
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
            ]
        },
        {"unschedulable": "0/3 nodes"},
    ),
    "an init container that waits for its image": (
        {
            "initContainerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}],
            "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}],
        },
        {"waiting_reason": "ErrImagePull", "waiting_message": "no"},
    ),
    "a container that crashed and waits": (
        {
            "containerStatuses": [
                {
                    "restartCount": 3,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                    "lastState": {"terminated": {"reason": "Error", "exitCode": 1, "message": "oh\n"}},
                }
            ]
        },
        {"waiting_reason": "CrashLoopBackOff", "last_exit": "Error, exit code 1: oh", "restarts": 3},
    ),
    "a container that ended well is no exit to tell of": (
        {"initContainerStatuses": [{"state": {"terminated": {"reason": "Completed", "exitCode": 0}}}]},
        {"last_exit": None},
    ),
    "an evicted pod": (
        {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
        {"phase": "Failed", "last_exit": "Evicted: low on memory"},
    ),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_a_pod_in_trouble_is(case: str) -> None:
    status, expected = CONDITIONS[case]
    view = pod_view(pod(status), GPU)
    assert {key: getattr(view, key) for key in expected} == expected


def test_a_pod_that_is_going() -> None:
    assert pod_view(pod(deletionTimestamp="2026-01-01T00:00:20Z"), GPU).terminating


def test_a_ray_service_before_and_after_kuberay_saw_it() -> None:
    metadata = {"generation": 3, "annotations": {"rayspan.dev/revision": "abc"}}
    assert ray_service_view({"metadata": metadata}) == RayServiceView(3, 0, None, None, "abc")
    status = {
        "observedGeneration": 3,
        "activeServiceStatus": {"rayClusterName": "x"},
        "pendingServiceStatus": {"rayClusterName": ""},
    }
    assert ray_service_view({"metadata": metadata, "status": status}) == RayServiceView(
        3, 3, "x", None, "abc"
    )


def test_a_ray_cluster_with_pods_that_are_to_go() -> None:
    groups = [
        {"groupName": "stage-0", "replicas": 2, "scaleStrategy": {"workersToDelete": ["p"]}},
        {"groupName": "stage-1", "scaleStrategy": {}},
    ]
    cluster = {"metadata": {"name": "x"}, "spec": {"workerGroupSpecs": groups}}
    assert ray_cluster_view(cluster) == RayClusterView(
        "x", (WorkerGroupView("stage-0", 2, ("p",)), WorkerGroupView("stage-1", 0))
    )


def test_a_ray_cluster_whose_bounds_were_edited() -> None:
    group = {"groupName": "stage-0", "replicas": 2, "minReplicas": 0, "maxReplicas": 9}
    cluster = {"metadata": {"name": "x"}, "spec": {"workerGroupSpecs": [group]}}
    assert ray_cluster_view(cluster).groups == (WorkerGroupView("stage-0", 2, (), 0, 9),)


def asleep(kind: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": "True"}, {"type": "HeadPodReady", "status": "False"}]}


SUSPENDED: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "as it is made": ({}, {}, False),
    "by hand": ({"suspend": True}, {}, True),
    "and not yet awake": ({"suspend": False}, asleep("RayClusterSuspended"), False),
    "and left asleep when KubeRay took the field away": ({}, asleep("RayClusterSuspended"), True),
    "and about to sleep when KubeRay took the field away": ({}, asleep("RayClusterSuspending"), True),
}


def test_a_ray_cluster_says_why_it_lacks_a_pod() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    cluster = {"metadata": {"name": "x"}, "spec": {}, "status": {"conditions": [failure]}}
    assert ray_cluster_view(cluster).refused == "exceeded quota"
    failure["status"] = "False"
    assert ray_cluster_view(cluster).refused is None


def test_a_ray_cluster_that_waits_in_a_queue_is_left_to_sleep() -> None:
    metadata = {"name": "x", "labels": {"kueue.x-k8s.io/queue-name": "gpus"}}
    assert not ray_cluster_view({"metadata": metadata, "spec": {"suspend": True}}).suspended


@pytest.mark.parametrize("case", SUSPENDED)
def test_a_ray_cluster_is_suspended(case: str) -> None:
    spec, status, expected = SUSPENDED[case]
    assert ray_cluster_view({"metadata": {"name": "x"}, "spec": spec, "status": status}).suspended is expected


def node(name: str, allocatable: dict[str, str], **spec: Any) -> dict[str, Any]:
    status = {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"name": name, "labels": {"zone": "a"}}, "spec": spec, "status": status}


def test_nodes_with_what_others_hold_of_their_gpus() -> None:
    nodes = [
        node("b", {GPU: "4"}, taints=[{"key": "gpu", "effect": "NoSchedule"}]),
        node("a", {"amd.com/gpu": "8", GPU: "0"}, unschedulable=True),
    ]
    other = {"metadata": {}, "spec": {"nodeName": "b", "containers": [{"resources": {"limits": {GPU: 3}}}]}}
    pending = {"metadata": {}, "spec": {"containers": [{"resources": {"limits": {GPU: 3}}}]}}
    assert node_facts(nodes, held_by(other) + held_by(pending)) == (
        NodeFacts("a", {"zone": "a"}, gpus=8, gpu_resource="amd.com/gpu", cordoned=True),
        NodeFacts("b", {"zone": "a"}, (Taint("gpu", "", "NoSchedule"),), gpus=4, gpus_held_by_others=3),
    )
