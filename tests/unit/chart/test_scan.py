"""How `make scan` judges: nothing is passed over, and no waiver outlives what it was for."""

from __future__ import annotations

from dev.scan import RAY_OBJECTS, RENDERINGS, WAIVERS, Finding, scannable, scanner, unexpected


def test_what_is_not_waived_is_told() -> None:
    assert unexpected([Finding("A", "bad (Deployment.x)")], {}) == ["A: bad (Deployment.x)"]


def test_what_is_waived_is_passed_over() -> None:
    assert unexpected([Finding("A", "bad"), Finding("A", "bad elsewhere")], {"A": "because"}) == []


def test_a_waiver_that_nothing_needs_is_told() -> None:
    assert unexpected([], {"A": "because"}) == ["A is waived in dev/scan.py, and nothing needs it: remove it"]


def test_every_rendering_has_its_waivers_and_each_a_reason() -> None:
    assert set(WAIVERS) == {*RENDERINGS, RAY_OBJECTS}
    assert [why for waivers in WAIVERS.values() for why in waivers.values() if len(why) < 30] == []


def test_a_waiver_is_for_one_scanner() -> None:
    checks = ("CKV_K8S_11", "kubesec", "pod-probes-identical")
    assert [scanner(check) for check in checks] == ["checkov", "kubesec", "kube-score"]


def test_the_pods_of_a_ray_service_are_scanned() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    cluster = {
        "headGroupSpec": {"template": template},
        "workerGroupSpecs": [{"groupName": "stage-0", "template": template}],
    }
    service = {
        "kind": "RayService",
        "metadata": {"name": "chat", "namespace": "llm"},
        "spec": {"rayClusterConfig": cluster},
    }
    pods = scannable(service)
    assert [(pod["kind"], pod["metadata"]["name"]) for pod in pods] == [
        ("Pod", "chat-head"),
        ("Pod", "chat-stage-0"),
    ]
    assert pods[0]["metadata"]["labels"] == {"a": "b", "ray.io/cluster": "chat"}
    assert scannable({"kind": "Secret"}) == [{"kind": "Secret"}]
