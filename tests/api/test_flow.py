"""The operator process against a real API server: what it makes, keeps, refuses and removes.

Nothing runs here, and the tests stand in for KubeRay: serving is for the tests on a whole cluster.
"""

from __future__ import annotations

import statistics
import time

from tests.api.conftest import (
    KUBERAY,
    Operator,
    apply_inspected,
    condition,
    deployment,
    exists,
    install,
    kuberay_crds,
    ray_cluster,
    until,
)
from tests.kubectl import apply, get, kubectl


def made(namespace: str, name: str = "tiny") -> str:
    """Wait for the RayService; its version."""
    until("a RayService", lambda: exists("-n", namespace, "rayservice", name))
    version: str = get("-n", namespace, "rayservice", name)["metadata"]["resourceVersion"]
    return version


def test_from_apply_to_the_ray_service_takes_less_than_a_second(namespace: str, operator: Operator) -> None:
    apply_inspected(deployment(namespace, "warm"))
    made(namespace, "warm")
    took = []
    for number in range(20):
        apply(deployment(namespace, f"m{number}"))
        started = time.monotonic()
        made(namespace, f"m{number}")
        took.append(time.monotonic() - started)
    print(f"seconds from apply to RayService: {sorted(took)}")
    assert statistics.median(took) < 1.0  # the 95th percentile is measured in tests/e2e
    assert operator.resident_mebibytes() < 120


def test_what_is_deleted_or_edited_by_hand_comes_back(namespace: str, operator: Operator) -> None:
    apply_inspected(deployment(namespace))
    made(namespace)
    kubectl("-n", namespace, "delete", "rayservice", "tiny")
    made(namespace)
    edit = '{"spec": {"excludeHeadPodFromServeSvc": false}}'
    kubectl("-n", namespace, "patch", "rayservice", "tiny", "--type=merge", "-p", edit)
    until(
        "the edit is undone",
        lambda: get("-n", namespace, "rayservice", "tiny")["spec"]["excludeHeadPodFromServeSvc"],
    )


def test_a_refused_change_leaves_what_runs_untouched(namespace: str, operator: Operator) -> None:
    document = deployment(namespace, parallelism={"stages": [{"layers": 8}]})
    apply_inspected(document)
    before = made(namespace)
    document["spec"]["parallelism"]["stages"][0]["layers"] = 9
    apply(document)
    until("a refusal", lambda: condition(namespace, "tiny", "PlanAccepted").get("status") == "False")
    assert condition(namespace, "tiny", "PlanAccepted")["reason"] == "InvalidSpec"
    assert made(namespace) == before
    document["spec"]["parallelism"]["stages"][0]["layers"] = 8
    apply(document)
    until(
        "it is accepted again", lambda: condition(namespace, "tiny", "PlanAccepted").get("status") == "True"
    )
    assert made(namespace) == before


def test_a_change_of_the_pods_replaces_the_ray_cluster(namespace: str, operator: Operator) -> None:
    document = deployment(namespace)
    apply_inspected(document)
    made(namespace)
    ray_cluster(namespace)
    time.sleep(3)
    assert get("-n", namespace, "raycluster")["items"]
    document["spec"]["serving"]["podTemplate"] = {"metadata": {"labels": {"team": "a"}}}
    apply(document)
    until("the old RayCluster is gone", lambda: not get("-n", namespace, "raycluster")["items"])
    kept = ray_cluster(namespace)
    time.sleep(3)
    assert [one["metadata"]["uid"] for one in get("-n", namespace, "raycluster")["items"]] == [kept]


def test_replicas_reach_the_running_ray_cluster(namespace: str, operator: Operator) -> None:
    apply_inspected(deployment(namespace))
    made(namespace)
    uid = ray_cluster(namespace)
    kubectl("-n", namespace, "scale", "llm", "tiny", "--replicas=2")

    def counts() -> list[int]:
        found = get("-n", namespace, "raycluster")["items"][0]
        assert found["metadata"]["uid"] == uid
        return [group["replicas"] for group in found["spec"]["workerGroupSpecs"]]

    until("two pods wanted per stage", lambda: counts() == [2])


def test_kuberay_may_come_later_and_go_and_come_again(namespace: str, operator: Operator) -> None:
    crds = kuberay_crds()
    kubectl("delete", "crd", *KUBERAY)
    apply_inspected(deployment(namespace))
    until("words", lambda: condition(namespace, "tiny", "Provisioned").get("reason") == "KubeRayMissing")
    install(*crds)
    made(namespace)
    kubectl("delete", "crd", *KUBERAY)
    until("words", lambda: condition(namespace, "tiny", "Provisioned").get("reason") == "KubeRayMissing")
    install(*crds)
    made(namespace)


def test_no_replicas_stop_it_and_replicas_start_it_again(namespace: str, operator: Operator) -> None:
    apply_inspected(deployment(namespace))
    made(namespace)
    kubectl("-n", namespace, "scale", "llm", "tiny", "--replicas=0")
    until("no RayService", lambda: not exists("-n", namespace, "rayservice", "tiny"))
    until("phase Stopped", lambda: get("-n", namespace, "llm", "tiny")["status"]["phase"] == "Stopped")
    kubectl("-n", namespace, "scale", "llm", "tiny", "--replicas=1")
    made(namespace)


def test_a_restarted_operator_writes_nothing_that_is_there(namespace: str, operator: Operator) -> None:
    apply_inspected(deployment(namespace))
    made(namespace)
    operator.stop()
    before = made(namespace)
    operator.start()
    kubectl("-n", namespace, "patch", "llm", "tiny", "--type=merge", "-p", '{"spec":{"objectives":{}}}')
    generation = get("-n", namespace, "llm", "tiny")["metadata"]["generation"]
    until(
        "a pass",
        lambda: get("-n", namespace, "llm", "tiny")["status"].get("observedGeneration") == generation,
    )
    assert made(namespace) == before


def test_deletion_needs_no_operator(namespace: str, operator: Operator) -> None:
    apply_inspected(deployment(namespace))
    made(namespace)
    ray_cluster(namespace)
    operator.stop()
    kubectl("-n", namespace, "delete", "llm", "tiny", "--timeout=10s")
    owned = "rayservice,raycluster,secret"
    until("nothing is left", lambda: not get("-n", namespace, owned)["items"], seconds=60)


def test_a_ray_service_of_someone_else_is_not_taken(namespace: str, operator: Operator) -> None:
    apply_inspected(deployment(namespace, "mine"))
    made(namespace, "mine")
    theirs = get("-n", namespace, "rayservice", "mine")
    theirs["metadata"] = {"name": "tiny", "namespace": namespace}
    apply(theirs)
    apply(deployment(namespace))
    until(
        "words about it",
        lambda: (
            "does not belong to this LLMDeployment"
            in condition(namespace, "tiny", "Provisioned").get("message", "")
        ),
    )
