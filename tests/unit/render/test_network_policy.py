"""Who reaches which ports of the Ray pods."""

from __future__ import annotations

from typing import Any

import pytest
from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.plan.types import Plan, StagePlan
from rayspan.render import Insiders, RenderSettings, objects, policies_missing

OPERATOR: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"name": "rayspan-system"}}}
KUBERAY: dict[str, Any] = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "kuberay"}}}
PROMETHEUS: dict[str, Any] = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
PLAN = Plan(1, (StagePlan(0, 4, {}, ("a",)), StagePlan(1, 4, {}, ("b",))), "nvidia.com/gpu")
RAY_PODS = {
    "matchLabels": {"rayspan.dev/deployment": "chat"},
    "matchExpressions": [{"key": "ray.io/cluster", "operator": "Exists"}],
}


def deployment(**spec: Any) -> LLMDeployment:
    metadata = {"name": "chat", "namespace": "models", "uid": "u-1"}
    return LLMDeployment.model_validate({"metadata": metadata, "spec": {"model": {"id": "chat"}, **spec}})


def settings(*metrics: dict[str, Any]) -> RenderSettings:
    return RenderSettings(serving_image="serving:1", insiders=Insiders((OPERATOR,), (KUBERAY,), metrics))


def policies(given: LLMDeployment, made_by: RenderSettings) -> dict[str, Any]:
    made = [one for one in objects(given, PLAN, made_by) if one["kind"] == "NetworkPolicy"]
    return {one["metadata"]["name"]: one["spec"] for one in made}


def rule(*ports: str, **more: Any) -> dict[str, Any]:
    return {**more, "ports": [{"port": port, "protocol": "TCP"} for port in ports]}


def test_the_inner_ports_are_for_the_deployments_own_pods_and_the_operators() -> None:
    inner = policies(deployment(), settings())["chat-ray"]
    assert inner["podSelector"] == {"matchLabels": RAY_PODS["matchLabels"]}, "those of Jobs as well"
    assert inner["policyTypes"] == ["Ingress"]
    assert inner["ingress"] == [
        {"from": [{"podSelector": RAY_PODS}]},
        rule("dashboard", "metrics", "serve", **{"from": [OPERATOR]}),
        rule("dashboard", "serve", **{"from": [KUBERAY]}),
    ]


def test_who_scrapes_reaches_the_metrics_and_nothing_else() -> None:
    ingress = policies(deployment(), settings(PROMETHEUS))["chat-ray"]["ingress"]
    assert ingress[3:] == [rule("metrics", **{"from": [PROMETHEUS]})]


def test_every_port_that_a_policy_names_is_one_that_the_containers_have() -> None:
    *made, service = objects(deployment(), PLAN, settings(PROMETHEUS))
    cluster = service["spec"]["rayClusterConfig"]
    groups = (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])
    head, *stages = (
        {port["name"] for port in group["template"]["spec"]["containers"][0]["ports"]} for group in groups
    )
    named = {
        port["port"] for one in made for each in one["spec"]["ingress"] for port in each.get("ports", ())
    }
    assert named <= head
    assert all({"serve", "metrics"} <= stage for stage in stages)


def test_the_serving_port_of_the_stage_pods_is_open_and_that_of_the_head_is_not() -> None:
    serving = policies(deployment(), settings())["chat-serve"]
    stage = {"key": "rayspan.dev/stage", "operator": "Exists"}
    assert serving["podSelector"] == {
        **RAY_PODS,
        "matchExpressions": [*RAY_PODS["matchExpressions"], stage],
    }
    assert serving["ingress"] == [rule("serve")]


ALLOWED: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "nobody": ([], []),
    "a namespace": (
        [{"namespaceSelector": {"matchLabels": {"team": "web"}}}],
        [{"namespaceSelector": {"matchLabels": {"team": "web"}}}],
    ),
    "pods of all namespaces, and addresses": (
        [
            {
                "namespaceSelector": {},
                "podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
            },
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
        ],
        [
            {
                "namespaceSelector": {},
                "podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
            },
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
        ],
    ),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_the_serving_port_is_for_the_deployments_own_pods_and(case: str) -> None:
    given, wanted = ALLOWED[case]
    serving = policies(deployment(serving={"allowFrom": given}), settings())["chat-serve"]
    own = {"podSelector": {"matchLabels": {"rayspan.dev/deployment": "chat"}}}
    assert serving["ingress"] == [rule("serve", **{"from": [own, *wanted]})]


def test_they_come_before_the_pods_and_go_with_the_deployment() -> None:
    made = objects(deployment(), PLAN, settings())
    assert [one["kind"] for one in made] == ["NetworkPolicy", "NetworkPolicy", "RayService"]
    owners = [one["metadata"]["ownerReferences"] for one in made]
    assert owners[0] == owners[1] == owners[2]


def test_they_change_no_pods() -> None:
    given = deployment(serving={"allowFrom": []})
    assert (
        objects(given, PLAN, settings())[-1]
        == objects(deployment(), PLAN, RenderSettings(serving_image="serving:1"))[-1]
    )


def test_without_them_a_list_of_clients_is_refused_and_nothing_else() -> None:
    none = RenderSettings(serving_image="serving:1")
    assert policies(deployment(), none) == {}
    assert policies_missing(deployment().spec, none) is None
    listed = deployment(serving={"allowFrom": []}).spec
    assert policies_missing(listed, settings()) is None
    assert policies_missing(listed, none) == (
        "spec.serving.allowFrom: this operator makes no NetworkPolicies (rayPods.networkPolicy.enabled in its chart's "
        "values): leave it out, and write a policy of your own."
    )
